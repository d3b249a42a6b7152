// The simulation kernel on SimGrid, and the run of a host program on it.
//
// The host program is one actor. Streams and copy engines live in SimGrid's maestro context: they start activities from
// timers and from the completion callbacks of others. SimGrid's activities are what shares a device or a link; what is
// alone there has a date that is known (see flows.hpp).
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <stdexcept>

#include "sim/base/input_error.hpp"
#include "sim/machine/flows.hpp"
#include "sim/machine/lanes.hpp"
#include "sim/machine/machine.hpp"
#include "sim/machine/simgrid.hpp"
#include "sim/machine/stream_machine.hpp"

namespace specmoe {
namespace {

// The platform's graph in SimGrid, and lanes on it. A device is a host. A memory is hosts for the ends of pinned and
// of pageable copies, which take different links; and the same once more for when a CPU computes: then copies cross
// the CPU's memory as a link too, which they share with the CPU's kernels. A kernel is an Exec beside a flow from one
// of its CPU's places into that memory, through a link that lets it have no more than its own rate.
class SimGridKernel final : public SimulationKernel {
 public:
  SimGridKernel(const Platform& platform, sg::Zone* zone) : platform_(platform), zone_(zone) {
    for (const Device& device : platform.devices) {
      sg::Host* host = sg::add_device(zone, "device " + device.name, device.power);
      devices_.push_back({{host, nullptr, {&shares_.emplace_back(Share{1})}}, {}, 0, {}});
    }
    for (const Memory& memory : platform.memories) add_memory(memory);
    for (std::size_t i = 0; i < devices_.size(); ++i) add_places(devices_[i], platform.devices[i]);
    for (const Link& link : platform.links) add_directions(link);
    const std::size_t memories = platform.memories.size();
    ways_.resize(memories * memories);
    for (std::size_t from = 0; from < memories; ++from)
      for (std::size_t to = 0; to < memories; ++to)
        if (from != to)
          for (const bool beside_cpu : {false, true})
            add_ways({static_cast<int>(from)}, {static_cast<int>(to)}, beside_cpu);
    sg::seal(zone);
  }

  void run(const std::function<void()>& program) {
    sg::on_completion([this](Worker& shared) { ended(shared); });
    sg::run(memories_.at(0).ends[0].pinned, [&] {
      program();
      host_runs_ = false;
    });
  }

  Seconds now() const override { return dates_.now(); }
  std::vector<Joules> device_energy() const override;
  std::unique_ptr<Lane> open_lane(Worker& worker, DeviceId device) override;
  void suspend_host() override {
    host_runs_ = false;
    sg::suspend_host();
  }
  void resume_host() override {
    host_runs_ = true;
    sg::resume_host();
  }

 private:
  class SharedFlow;
  class PlatformLane;
  struct Ends {
    sg::Host *pinned, *pageable;
  };
  struct LinkShare : Share {
    sg::Link* link;
  };
  // Where a flow is in SimGrid: on a host, or on the links between two.
  struct Path {
    sg::Host *from, *to;
    std::vector<Share*> shares;
  };
  // Reads and writes flow over a link each, and share one of the faster rate. SimGrid's own disks hold on to every access
  // that was made: their cost grows with the square of the number.
  struct Disk {
    Path reads, writes;
  };
  struct MemoryNode {
    std::array<Ends, 2> ends;  // [whether a CPU computes]
    Disk disk;
    LinkShare* bandwidth;  // only of a CPU's memory
  };
  // From where a kernel's traffic flows into the memory, at the rate of the link.
  struct Place {
    LinkShare* rate;
    Path path;
  };
  struct DeviceNode {
    Path kernels;
    std::vector<Place> places;
    std::size_t taken;
    /// Beyond idle, of kernels that SimGrid's meter did not see: those that were alone.
    Joules alone;
  };
  static constexpr std::size_t kPlaces = 4;  // streams of a CPU
  struct OneWay {
    std::vector<LinkShare*> pinned, pageable;
  };
  struct Way {
    std::array<Path, 2> pinned, pageable;  // [whether a CPU computes]
  };

  const MemoryNode& operator[](MemoryId id) const { return memories_[static_cast<std::size_t>(id.index)]; }
  Way& way(MemoryId from, MemoryId to) {
    return ways_[static_cast<std::size_t>(from.index) * memories_.size() +
                 static_cast<std::size_t>(to.index)];
  }

  LinkShare* add_link(const std::string& name, BytesPerSecond bandwidth) {
    // SimGrid takes any number and goes wrong later.
    if (!(bandwidth.value > 0) || !std::isfinite(bandwidth.value))
      throw std::logic_error("platform: the bandwidth of " + name + " is not positive");
    return &links_.emplace_back(LinkShare{{bandwidth.value}, sg::add_link(zone_, name, bandwidth)});
  }
  Path add_path(sg::Host* from, sg::Host* to, const std::vector<LinkShare*>& links) {
    std::vector<const sg::Link*> hops;
    for (const LinkShare* each : links) hops.push_back(each->link);
    sg::add_route(zone_, from, to, hops);
    return {from, to, {links.begin(), links.end()}};
  }

  void add_memory(const Memory& memory) {
    const auto ends = [&](const std::string& name) -> Ends {
      return {sg::add_host(zone_, "memory " + name), sg::add_host(zone_, "pageable memory " + name)};
    };
    memories_.push_back({{ends(memory.name), ends(memory.name + " beside a CPU")}, {}, nullptr});
    if (memory.kind != Memory::Kind::disk) return;
    LinkShare* both = add_link("accesses of " + memory.name, std::max(memory.read, memory.write));
    sg::Host* end = sg::add_host(zone_, "end of " + memory.name);
    memories_.back().disk = {add_path(sg::add_host(zone_, "reads of " + memory.name), end,
                                      {add_link("read rate of " + memory.name, memory.read), both}),
                             add_path(sg::add_host(zone_, "writes of " + memory.name), end,
                                      {add_link("write rate of " + memory.name, memory.write), both})};
  }

  void add_places(DeviceNode& node, const Device& device) {
    if (device.kind != Device::Kind::cpu) return;
    MemoryNode& memory = memories_[static_cast<std::size_t>(device.memory.index)];
    const std::string name = platform_[device.memory].name;
    if (!memory.bandwidth) memory.bandwidth = add_link("bandwidth of " + name, platform_[device.memory].read);
    for (std::size_t i = 0; i < kPlaces; ++i) {
      const std::string place = "place " + std::to_string(i) + " of " + device.name;
      LinkShare* rate = add_link(place + " rate", platform_[device.memory].read);
      node.places.push_back(
          {rate, add_path(sg::add_host(zone_, place), memory.ends[1].pinned, {rate, memory.bandwidth})});
    }
  }

  void add_directions(const Link& link) {
    LinkShare* both = nullptr;
    if (link.duplex.value < link.forward.bandwidth.value + link.backward.bandwidth.value)
      both = add_link(link.name + " both ways", link.duplex);
    const auto direction = [&](const std::string& name, BytesPerSecond full, BytesPerSecond pageable) {
      OneWay result;
      result.pinned.push_back(add_link(name, full));
      if (both) result.pinned.push_back(both);
      result.pageable = result.pinned;
      result.pageable.push_back(add_link(name + " staging", pageable));
      return result;
    };
    directions_.push_back(
        direction(link.name + " forward", link.forward.bandwidth, link.pageable_forward.bandwidth));
    directions_.push_back(
        direction(link.name + " backward", link.backward.bandwidth, link.pageable_backward.bandwidth));
  }

  void add_ways(MemoryId from, MemoryId to, bool beside_cpu) {
    Route route;
    try {
      route = platform_.route(from, to);
    } catch (const InputError&) {
      return;  // an error only for a program that copies this way
    }
    std::vector<LinkShare*> pinned, pageable;
    for (const Hop& hop : route.hops) {
      const OneWay& direction = directions_[static_cast<std::size_t>(2 * hop.link + !hop.forward)];
      pinned.insert(pinned.end(), direction.pinned.begin(), direction.pinned.end());
      pageable.insert(pageable.end(), direction.pageable.begin(), direction.pageable.end());
    }
    if (beside_cpu)
      for (const MemoryId end : {from, to})
        if (LinkShare* bandwidth = (*this)[end].bandwidth) {
          pinned.push_back(bandwidth);
          pageable.push_back(bandwidth);
        }
    const Ends &source = (*this)[from].ends[beside_cpu], &target = (*this)[to].ends[beside_cpu];
    way(from, to).pinned[beside_cpu] = add_path(source.pinned, target.pinned, pinned);
    way(from, to).pageable[beside_cpu] = add_path(source.pageable, target.pinned, pageable);
  }

  void ended(Worker& shared) {
    --sharing_;
    dates_.go_to(sg::now());
    shared.go_on();
  }
  void go_on_at(Seconds date, Worker& worker) {
    dates_.add(date, worker);
    wake_at(date);
  }
  // Calls serve() at a date.
  void wake_at(Seconds date) {
    if (serving_ || woken_ <= date) return;
    woken_ = date;
    sg::call_at(date, [this, date] {
      if (date == woken_) serve();  // else an earlier one has come between
    });
  }
  // Where nothing is shared and the host waits, the next date is the next thing to happen: SimGrid's clock follows later.
  void serve() {
    woken_ = kNever;
    serving_ = true;
    dates_.go_to(sg::now());
    begin_sharing();
    while (!dates_.empty() && (dates_.next() <= dates_.now() || (sharing_ == 0 && !host_runs_)))
      dates_.serve_next();
    serving_ = false;
    if (!to_begin_.empty()) wake_at(dates_.now());
    if (!dates_.empty()) wake_at(dates_.next());
  }
  // SimGrid starts activities at its own clock only.
  void begin_when_there(SharedFlow& flow);
  void begin_sharing();

  static constexpr Seconds kNever{std::numeric_limits<double>::infinity()};

  const Platform& platform_;
  sg::Zone* zone_;
  std::deque<Share> shares_;  // of devices
  std::deque<LinkShare> links_;
  std::vector<DeviceNode> devices_;
  bool cpu_computes_ = false;
  std::vector<MemoryNode> memories_;
  std::vector<OneWay> directions_;  // [2 * link + backward]
  std::vector<Way> ways_;           // [from, to]

  Dates dates_;
  bool host_runs_ = true;
  bool serving_ = false;
  Seconds woken_ = kNever;             // when serve() will be called
  int sharing_ = 0;                    // flows
  std::vector<SharedFlow*> to_begin_;  // of these, once SimGrid's clock is there
};

// What is left of a flow that shares its path.
class SimGridKernel::SharedFlow final : public Flow {
 public:
  SharedFlow(SimGridKernel& kernel, Worker& worker)
      : Flow(kernel.dates_, worker), kernel_(kernel), activities_(*this) {}

  void start(const Path& path, double amount) {
    path_ = &path;
    Flow::start(path.shares, amount);
  }
  /// The next is a kernel of a device that draws power.
  void draw(DeviceNode& device, const PowerDraw& power, bool memory_bound) {
    device_ = &device;
    memory_bound_ = memory_bound;
    beyond_idle_ = (memory_bound ? power.memory_bound : power.compute_bound) - power.idle;
  }
  Watts beyond_idle() const { return beyond_idle_; }
  void begin() {
    if (path_->to) return activities_.cross(path_->from, path_->to, rest_);
    if (device_) sg::set_draw(path_->from, memory_bound_);
    activities_.execute(path_->from, {rest_});
  }

 private:
  void was_alone(Seconds time) override {
    if (device_) device_->alone += beyond_idle_ * time;
  }
  void end_at(Seconds date) override { kernel_.go_on_at(date, *this); }
  void be_shared(double rest) override {
    rest_ = rest;
    kernel_.begin_when_there(*this);
  }

  SimGridKernel& kernel_;
  sg::Activities activities_;
  const Path* path_ = nullptr;
  double rest_ = 0;
  DeviceNode* device_ = nullptr;  // only where it draws power
  bool memory_bound_ = false;
  Watts beyond_idle_;
};

// Where SimGrid's clock is behind, the devices stand still for all that SimGrid knows.
std::vector<Joules> SimGridKernel::device_energy() const {
  std::vector<Joules> all;
  if (!platform_.has_power()) return all;
  const Seconds behind = now() - sg::now();
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const DeviceNode& node = devices_[i];
    all.push_back(sg::drawn(node.kernels.from) + platform_.devices[i].power->idle * behind + node.alone);
    if (const Flow* kernel = node.kernels.shares.front()->alone)
      all.back() += static_cast<const SharedFlow*>(kernel)->beyond_idle() * (now() - kernel->begun());
  }
  return all;
}

void SimGridKernel::begin_when_there(SharedFlow& flow) {
  ++sharing_;
  to_begin_.push_back(&flow);
  if (dates_.now() <= sg::now())
    begin_sharing();
  else
    wake_at(dates_.now());
}

void SimGridKernel::begin_sharing() {
  for (SharedFlow* flow : to_begin_) flow->begin();
  to_begin_.clear();
}

class SimGridKernel::PlatformLane final : public Lane {
 public:
  PlatformLane(SimGridKernel& kernel, Worker& worker, Place* place)
      : kernel_(kernel), worker_(worker), flow_(kernel, worker), place_(place), both_(kernel, worker) {}

  void wait_until(Seconds date) override { kernel_.go_on_at(date, worker_); }
  void execute(DeviceId device, Seconds duration, Bytes traffic, bool memory_bound) override {
    DeviceNode& node = kernel_.devices_[static_cast<std::size_t>(device.index)];
    SharedFlow& compute = place_ && traffic > Bytes{0} ? both_.compute : flow_;
    if (const auto& power = kernel_.platform_[device].power) compute.draw(node, *power, memory_bound);
    if (&compute == &flow_) return compute.start(node.kernels, duration.value);
    const BytesPerSecond rate = traffic / duration;
    place_->rate->rate = rate.value;
    sg::set_bandwidth(place_->rate->link, rate);
    both_.left = 2;
    compute.start(node.kernels, duration.value);
    both_.flow.start(place_->path, static_cast<double>(traffic.count));
  }
  void cross(MemoryId from, MemoryId to, HostMemory host, Bytes payload) override {
    const Way& way = kernel_.way(from, to);
    const auto& paths = host == HostMemory::pinned ? way.pinned : way.pageable;
    flow_.start(paths[kernel_.cpu_computes_], static_cast<double>(payload.count));
  }
  void read(MemoryId disk, Bytes bytes) override {
    flow_.start(kernel_[disk].disk.reads, static_cast<double>(bytes.count));
  }
  void write(MemoryId disk, Bytes bytes) override {
    flow_.start(kernel_[disk].disk.writes, static_cast<double>(bytes.count));
  }

 private:
  // Goes on when both have ended.
  struct Both final : Worker {
    Both(SimGridKernel& kernel, Worker& w) : worker(w), compute(kernel, *this), flow(kernel, *this) {}
    void go_on() override {
      if (--left == 0) worker.go_on();
    }
    Worker& worker;
    SharedFlow compute, flow;
    int left = 0;
  };

  SimGridKernel& kernel_;
  Worker& worker_;
  SharedFlow flow_;
  Place* place_;
  Both both_;
};

std::unique_ptr<Lane> SimGridKernel::open_lane(Worker& worker, DeviceId device) {
  Place* place = nullptr;
  if (device.index >= 0 && platform_[device].kind == Device::Kind::cpu) {
    DeviceNode& node = devices_[static_cast<std::size_t>(device.index)];
    if (node.taken == kPlaces) throw std::logic_error("open_stream: more than four streams of a CPU");
    place = &node.places[node.taken++];
    cpu_computes_ = true;
  }
  return std::make_unique<PlatformLane>(*this, worker, place);
}

}  // namespace

SimulationEnd simulate(const Platform& platform, const std::function<void(Machine&)>& program,
                       MachineObserver* observer) {
  SimGridKernel kernel(platform, sg::open_engine(platform.has_power()));
  StreamMachine machine(platform, kernel, observer);
  kernel.run([&] { program(machine); });
  SimulationEnd end{std::max(machine.now(), kernel.now()), kernel.device_energy()};
  // The host's last calls may have ended after all that SimGrid knows of.
  for (std::size_t i = 0; i < end.device_energy.size(); ++i)
    end.device_energy[i] += platform.devices[i].power->idle * (end.date - kernel.now());
  return end;
}

}  // namespace specmoe
