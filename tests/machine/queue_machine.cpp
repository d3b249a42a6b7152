#include "tests/machine/queue_machine.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <stdexcept>

#include "models/hardware/kernel_price.hpp"

namespace specmoe::testing {

struct QueueMachine::Moment final : EventState {
  double date = std::numeric_limits<double>::infinity();
  double host_notice = 0, stream_notice = 0;
  int recorded_by = -1;
  std::vector<Queue*> waiting;
};

struct QueueMachine::Queue {
  DeviceId device;
  std::deque<std::pair<double, Work>> work;  // with the date of the host's call
  bool waits = false;                        // a callback will pump it
  std::optional<Kernel> launched{};          // last
};

struct QueueMachine::Engine {
  struct Copy {
    double latency, duration;
    double event_time;  // of its stream's device
    MemoryId from, to;
    std::function<void(double start)> ended;
  };
  std::deque<Copy> copies;  // the first is under way
  double ended = -1;        // the date at which the last did
};

namespace {

// The latency of a copy, and the longest of its bytes by disk and over the narrowest link, at its rate for pinned or
// pageable memory.
std::pair<double, double> copy_time(const Platform& platform, const Route& route, Bytes bytes,
                                    HostMemory host) {
  if (route.hops.empty()) {
    const Direction& within = platform[route.from].copies.value();
    return {bytes <= within.inline_size ? 0 : within.latency.value,
            ((bytes + within.half_size) / within.bandwidth).value};
  }
  double latency = 0, rate = std::numeric_limits<double>::infinity();
  Bytes half, small{INT64_MAX};
  for (const Hop& hop : route.hops) {
    const Link& link = platform.links[static_cast<std::size_t>(hop.link)];
    const Direction& pinned = hop.forward ? link.forward : link.backward;
    const Direction& pageable = hop.forward ? link.pageable_forward : link.pageable_backward;
    const Direction& way = host == HostMemory::pageable ? pageable : pinned;
    rate = std::min({rate, way.bandwidth.value, pinned.bandwidth.value});
    half = std::max(half, way.half_size);
    small = std::min(small, way.inline_size);
    latency += way.latency.value;
  }
  double slowest = ((bytes + half) / BytesPerSecond{rate}).value;
  if (platform[route.from].kind == Memory::Kind::disk)
    slowest = std::max(slowest, (bytes / platform[route.from].read).value);
  if (platform[route.to].kind == Memory::Kind::disk)
    slowest = std::max(slowest, (bytes / platform[route.to].write).value);
  return {bytes <= small ? 0 : latency, slowest};
}

// What copies beside it add to a kernel, as a factor: by what bounds it, of traffic and arithmetic.
double slowdown(const Platform& platform, DeviceId device, const Kernel& kernel) {
  const Roofline line = roofline(platform, device, kernel);
  const bool by_arithmetic = line.arithmetic > line.traffic && line.arithmetic > line.floor;
  return 1 + (by_arithmetic ? platform[device].copy_slowdown_compute : platform[device].copy_slowdown_memory);
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
  const Seconds dispatch = platform_[queue(stream).device].saturation[kernel.work.index()].dispatch;
  std::optional<Kernel>& before = queue(stream).launched;
  const bool change = before && before->work != kernel.work;
  before = kernel;
  append(stream, calls(stream).work + calls(stream).launch + dispatch, [this, stream, kernel, change] {
    const DeviceId device = queue(stream).device;
    const double start = clock_;
    double duration = kernel_time(platform_, device, kernel).value;
    if (crossing_[platform_[device].memory.index] > 0) duration *= slowdown(platform_, device, kernel);
    if (change) duration += platform_[device].kernel_change.value;
    at(start + duration, [this, stream, kernel, start] {
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
  Engine& engine = engines_[from == to     ? std::pair(from.index, to.index)
                            : of_gpu(from) ? std::pair(from.index, -1)
                            : of_gpu(to)   ? std::pair(-1, to.index)
                                           : std::pair(from.index, to.index)];
  const auto time = copy_time(platform_, route, bytes, host);
  append(stream, calls(stream).work + calls(stream).copy, [this, stream, label, route, bytes, time, &engine] {
    engine.copies.push_back({time.first, time.second, platform_[queue(stream).device].event_time.value,
                             route.from, route.to, [this, stream, label, route, bytes](double start) {
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
  const Engine::Copy& copy = engine.copies.front();
  const double latency = start - engine.ended > copy.event_time + 1e-10 ? copy.latency : 0;
  if (latency > 0)
    at(start + latency, [this, &engine, start] { cross(engine, start); });
  else
    cross(engine, start);
}

void QueueMachine::cross(Engine& engine, double start) {
  const Engine::Copy& copy = engine.copies.front();
  const auto count = [this, from = copy.from, to = copy.to, any = copy.duration > 0](int change) {
    for (const MemoryId memory : {from, to}) crossing_[memory.index] += any ? change : 0;
  };
  count(1);
  at(clock_ + copy.duration, [this, &engine, start, count] {
    const Engine::Copy done = std::move(engine.copies.front());
    count(-1);
    engine.copies.pop_front();
    engine.ended = clock_;
    if (!engine.copies.empty()) next_copy(engine);
    done.ended(start);
  });
}

Event QueueMachine::record(Stream stream) {
  auto moment = std::make_shared<Moment>();
  moment->host_notice = calls(stream).synchronize.value;
  moment->stream_notice = platform_[queue(stream).device].event_latency.value;
  moment->recorded_by = stream.index;
  const double time = platform_[queue(stream).device].event_time.value;
  const auto reach = [this, moment] {
    moment->date = clock_;
    for (Queue* waiting : moment->waiting)
      at(clock_ + moment->stream_notice, [this, waiting] { pump(*waiting); });
  };
  append(stream, calls(stream).work + calls(stream).record, [this, stream, reach, time] {
    if (time <= 0) {
      reach();
      return true;
    }
    at(clock_ + time, [this, stream, reach] {
      reach();
      pump(queue(stream));
    });
    return false;
  });
  return moment;
}

void QueueMachine::wait(Stream stream, const Event& event) {
  const auto moment = std::dynamic_pointer_cast<Moment>(event);
  append(stream, calls(stream).work + calls(stream).wait, [this, stream, moment] {
    const double notice = moment->recorded_by == stream.index ? 0 : moment->stream_notice;
    if (moment->date + notice <= clock_) return true;
    if (moment->date <= clock_)
      at(moment->date + notice, [this, stream] { pump(queue(stream)); });
    else
      moment->waiting.push_back(&queue(stream));
    return false;
  });
}

void QueueMachine::synchronize(const Event& event) { await(std::dynamic_pointer_cast<Moment>(event)); }

bool QueueMachine::reached(const Event& event) const {
  return dynamic_cast<const Moment&>(*event).date <= host_;
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
  host_ = std::max(host_, moment->date) + moment->host_notice;
}

Seconds QueueMachine::drain() {
  while (!due_.empty()) run_next();
  return {std::max(host_, clock_)};
}

}  // namespace specmoe::testing
