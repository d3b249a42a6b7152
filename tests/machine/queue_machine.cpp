#include "tests/machine/queue_machine.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <stdexcept>

namespace specmoe::testing {

struct QueueMachine::Moment final : EventState {
  double date = std::numeric_limits<double>::infinity();
  double synchronize_call = 0;
  std::vector<Queue*> waiting;
};

struct QueueMachine::Queue {
  DeviceId device;
  std::deque<std::pair<double, Work>> work;  // with the date of the host's call
  bool waits = false;                        // a callback will pump it
};

struct QueueMachine::Engine {
  struct Copy {
    double duration;
    std::function<void(double start)> ended;
  };
  std::deque<Copy> copies;  // the first is under way
};

namespace {

// latency + the longest of the bytes by disk and over the narrowest link, at its rate for pinned or pageable memory
double copy_time(const Platform& platform, const Route& route, Bytes bytes, HostMemory host) {
  double time = 0, rate = std::numeric_limits<double>::infinity();
  Bytes half;
  for (const Hop& hop : route.hops) {
    const Link& link = platform.links[static_cast<std::size_t>(hop.link)];
    const double full = (hop.forward ? link.forward : link.backward).value;
    const double pageable = (hop.forward ? link.pageable_forward : link.pageable_backward).value;
    rate = std::min(rate, host == HostMemory::pageable ? std::min(full, pageable) : full);
    half = std::max(half, link.half_size);
    time += link.latency.value;
  }
  double slowest = ((bytes + half) / BytesPerSecond{rate}).value;
  if (platform[route.from].kind == Memory::Kind::disk)
    slowest = std::max(slowest, (bytes / platform[route.from].read).value);
  if (platform[route.to].kind == Memory::Kind::disk)
    slowest = std::max(slowest, (bytes / platform[route.to].write).value);
  return time + slowest;
}

}  // namespace

QueueMachine::QueueMachine(const Platform& platform, MachineObserver* observer)
    : platform_(platform), observer_(observer) {}

QueueMachine::~QueueMachine() = default;

Stream QueueMachine::open_stream(DeviceId device, const std::string& name) {
  queues_.push_back(std::make_unique<Queue>(Queue{device, {}, false}));
  const Stream stream{static_cast<int>(queues_.size()) - 1};
  if (observer_) observer_->stream_opened(stream, device, name);
  return stream;
}

const HostCalls& QueueMachine::calls(Stream stream) { return platform_[queue(stream).device].host_calls; }

void QueueMachine::at(double date, std::function<void()> action) {
  due_.push({date, sequence_++, std::move(action)});
}

void QueueMachine::append(Stream stream, Seconds call, Work work) {
  host_ += call.value;
  Queue& to = queue(stream);
  to.work.emplace_back(host_, std::move(work));
  if (!to.waits) {
    to.waits = true;
    at(host_, [this, &to] { pump(to); });
  }
}

void QueueMachine::pump(Queue& queue) {
  queue.waits = false;
  while (!queue.work.empty()) {
    const auto& [issued, work] = queue.work.front();
    if (issued > clock_) {
      queue.waits = true;
      at(issued, [this, &queue] { pump(queue); });
      return;
    }
    const Work start = work;
    queue.work.pop_front();
    if (!start()) {
      queue.waits = true;
      return;
    }
  }
}

void QueueMachine::launch(Stream stream, const Kernel& kernel) {
  append(stream, calls(stream).launch, [this, stream, kernel] {
    const double start = clock_;
    at(start + kernel_time(platform_, queue(stream).device, kernel).value, [this, stream, kernel, start] {
      if (observer_) observer_->kernel_ended(stream, kernel, {start}, {clock_});
      pump(queue(stream));
    });
    return false;
  });
}

void QueueMachine::copy(Stream stream, MemoryId from, MemoryId to, Bytes bytes, HostMemory host,
                        const CopyLabel& label) {
  const Route route = platform_.route(from, to);
  const auto of_gpu = [&](MemoryId id) {
    return std::any_of(platform_.devices.begin(), platform_.devices.end(), [&](const Device& device) {
      return device.kind == Device::Kind::gpu && device.memory == id;
    });
  };
  Engine& engine = engines_[of_gpu(from) ? std::pair(from.index, -1)
                            : of_gpu(to) ? std::pair(-1, to.index)
                                         : std::pair(from.index, to.index)];
  const double duration = copy_time(platform_, route, bytes, host);
  append(stream, calls(stream).copy, [this, stream, label, route, bytes, duration, &engine] {
    engine.copies.push_back({duration, [this, stream, label, route, bytes](double start) {
                               if (observer_)
                                 observer_->copy_ended(stream, label, route, bytes, {start}, {clock_});
                               pump(queue(stream));
                             }});
    if (engine.copies.size() == 1) next_copy(engine);
    return false;
  });
  if (host == HostMemory::pageable) {
    const auto ended = std::make_shared<Moment>();
    append(stream, {}, [this, ended] {
      ended->date = clock_;
      return true;
    });
    await(ended);
  }
}

void QueueMachine::next_copy(Engine& engine) {
  const double start = clock_;
  at(start + engine.copies.front().duration, [this, &engine, start] {
    const auto ended = std::move(engine.copies.front().ended);
    engine.copies.pop_front();
    if (!engine.copies.empty()) next_copy(engine);
    ended(start);
  });
}

Event QueueMachine::record(Stream stream) {
  auto moment = std::make_shared<Moment>();
  moment->synchronize_call = calls(stream).synchronize.value;
  append(stream, calls(stream).event, [this, moment] {
    moment->date = clock_;
    for (Queue* waiting : moment->waiting) at(clock_, [this, waiting] { pump(*waiting); });
    return true;
  });
  return moment;
}

void QueueMachine::wait(Stream stream, const Event& event) {
  append(stream, calls(stream).event, [this, stream, moment = std::dynamic_pointer_cast<Moment>(event)] {
    if (moment->date <= clock_) return true;
    moment->waiting.push_back(&queue(stream));
    return false;
  });
}

void QueueMachine::synchronize(const Event& event) {
  const auto moment = std::dynamic_pointer_cast<Moment>(event);
  host_ += moment->synchronize_call;
  await(moment);
}

Seconds QueueMachine::time_of(const Event& event) const {
  const double date = dynamic_cast<const Moment&>(*event).date;
  if (date > host_) throw std::logic_error("time_of: the event has not been reached");
  return {date};
}

void QueueMachine::run_next() {
  const Due due = due_.top();
  due_.pop();
  clock_ = due.date;
  due.action();
}

void QueueMachine::await(const std::shared_ptr<Moment>& moment) {
  while (moment->date == std::numeric_limits<double>::infinity()) {
    if (due_.empty()) throw std::logic_error("deadlock: the event is never reached");
    run_next();
  }
  host_ = std::max(host_, moment->date);
}

Seconds QueueMachine::drain() {
  while (!due_.empty()) run_next();
  return {std::max(host_, clock_)};
}

}  // namespace specmoe::testing
