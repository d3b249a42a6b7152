// The simulation kernel on SimGrid, and the run of a host program on it. The only file that includes SimGrid.
//
// The host program is one actor. Streams and copy engines live in SimGrid's maestro context: they start
// activities from timers and from the completion callbacks of others. SimGrid's activities are what shares a device or
// a link; what is alone there has a date that is known (see flows.hpp).
#include <simgrid/s4u.hpp>
// after s4u.hpp: in 3.32 they do not stand alone
#include <simgrid/plugins/energy.h>
#include <simgrid/version.h>
#include <simgrid/Exception.hpp>
#include <simgrid/kernel/Timer.hpp>
#include <xbt/config.hpp>

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <ctime>
#include <deque>
#include <exception>
#include <limits>
#include <optional>
#include <stdexcept>

#include "sim/base/input_error.hpp"
#include "sim/machine/bench.hpp"
#include "sim/machine/flows.hpp"
#include "sim/machine/lanes.hpp"
#include "sim/machine/machine.hpp"
#include "sim/machine/stream_machine.hpp"

// SimGrid 3.32 to 4.x under one roof, down to start().
#define SIMGRID_AT_LEAST(major, minor) (SIMGRID_VERSION >= 100UL * (100UL * (major) + (minor)))

namespace specmoe {
namespace {

namespace sg4 = simgrid::s4u;

constexpr double kFlopsPerSecond = 1e9;  // of every host: an Exec's flops are its nanoseconds
// SimGrid counts payloads in whole numbers. What is left of a copy when another joins it is none of bytes.
constexpr double kUnitsPerByte = 1 << 20;

sg4::NetZone* root_zone([[maybe_unused]] sg4::Engine& engine) {
#if SIMGRID_AT_LEAST(4, 0)
  return engine.get_netzone_root();
#else
  return sg4::create_full_zone("root");
#endif
}

sg4::Host* add_host(sg4::NetZone* zone, const std::string& name, double speed) {
#if SIMGRID_AT_LEAST(4, 0)
  return zone->add_host(name, speed);
#else
  return zone->create_host(name, speed);
#endif
}

// SimGrid draws its figures from a property "idle:one core:all cores" of each state of a host. States of a device have one
// speed and differ by what it draws: the host's one core is busy as soon as one kernel runs, and no busier with two.
enum PowerState : unsigned long { kMemoryBound, kComputeBound };

sg4::Host* add_device(sg4::NetZone* zone, const std::string& name, const std::optional<PowerDraw>& power) {
  if (!power) return add_host(zone, name, kFlopsPerSecond);
  const std::vector<double> speeds{kFlopsPerSecond, kFlopsPerSecond};
#if SIMGRID_AT_LEAST(4, 0)
  sg4::Host* host = zone->add_host(name, speeds);
#else
  sg4::Host* host = zone->create_host(name, speeds);
#endif
  const double idle = power->idle.value, memory = power->memory_bound.value,
               compute = power->compute_bound.value;
  host->set_property("wattage_per_state", fmt::format("{0}:{1}:{1},{0}:{2}:{2}", idle, memory, compute));
  return host;
}

// Latency 0: CM02 shares a link by 1/latency, so the fixed cost of a copy is a wait of its copy engine.
sg4::Link* add_link(sg4::NetZone* zone, const std::string& name, BytesPerSecond bandwidth) {
#if SIMGRID_AT_LEAST(4, 0)
  return zone->add_link(name, bandwidth.value * kUnitsPerByte)->set_latency(0);
#else
  return zone->create_link(name, bandwidth.value * kUnitsPerByte)->set_latency(0);
#endif
}

void add_route(sg4::NetZone* zone, sg4::Host* from, sg4::Host* to,
               const std::vector<const sg4::Link*>& links) {
  const std::vector<sg4::LinkInRoute> hops(links.begin(), links.end());
#if SIMGRID_AT_LEAST(3, 35)
  zone->add_route(from, to, hops, false);
#else
  zone->add_route(from->get_netpoint(), to->get_netpoint(), nullptr, nullptr, hops, false);
#endif
}

sg4::ActorPtr add_actor(sg4::Host* host, const std::string& name, const std::function<void()>& body) {
#if SIMGRID_AT_LEAST(4, 1)
  return host->add_actor(name, body);
#elif SIMGRID_AT_LEAST(4, 0)
  return sg4::Engine::get_instance()->add_actor(name, host, body);
#else
  return sg4::Actor::create(name, host, body);
#endif
}

template <class F>
void on_completion(const F& callback) {
#if SIMGRID_AT_LEAST(3, 34)
  sg4::Exec::on_completion_cb(callback);
  sg4::Comm::on_completion_cb(callback);
#else
  sg4::Activity::on_completion_cb(callback);
#endif
}

void start(const sg4::ExecPtr& exec) {
#if SIMGRID_AT_LEAST(3, 36)
  exec->detach();  // starts it too; what maestro starts and does not detach is never released
#else
  exec->start();
#endif
}

void start(const sg4::CommPtr& comm, sg4::Host* from, sg4::Host* to) {
  comm->set_source(from);
  comm->set_destination(to);  // starts it in 3.32
  if (comm->get_state() != sg4::Activity::State::STARTED) comm->start();
}

template <class T>
void set_flag(const std::string& name, const T& value) {
  sg4::Engine::set_config(name, value);
  if (simgrid::config::get_value<T>(name) != value)
    throw std::logic_error("SimGrid ignored the flag " + name);
}

// The flags that make SimGrid exact for a machine's links; its defaults are those of a wide-area TCP network.
// Never destroyed: the teardown is not safe after an exception, and the process may not have a second engine.
sg4::Engine& open_engine() {
  static bool opened = false;
  if (opened) throw std::logic_error("a process runs one simulation: see run_isolated");
  opened = true;
  std::vector<std::string> arguments{"specmoe", "--log=root.thresh:critical"};
#ifdef __SANITIZE_ADDRESS__
  arguments.push_back("--cfg=contexts/factory:thread");  // AddressSanitizer knows no other stacks
#endif
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  auto argc = static_cast<int>(arguments.size());
  auto* engine = new sg4::Engine(&argc, argv.data());
  set_flag<std::string>("network/model", "CM02");  // no TCP factors on bandwidth and latency
  set_flag("network/crosstraffic", false);         // no 5 % of acknowledgements on the way back
  set_flag("network/TCP-gamma", 0.0);              // no window that caps a flow
  set_flag("surf/precision", 1e-12);               // dates within this are merged; the default is 1 ns
  return *engine;
}

// Starts SimGrid's activities one at a time.
class SimGridLane {
 public:
  explicit SimGridLane(Worker& worker) : worker_(worker) {}

  void execute(sg4::Host* host, Seconds duration) {
    const auto exec = sg4::Exec::init();
    exec->set_flops_amount(duration.value * kFlopsPerSecond)->set_host(host);
    keep(exec);
    start(exec);
  }
  /// @param payload in bytes
  void cross(sg4::Host* from, sg4::Host* to, double payload) {
    const auto comm = sg4::Comm::sendto_init();
    comm->set_payload_size(static_cast<std::uint64_t>(std::ceil(payload * kUnitsPerByte)));
    keep(comm);
    start(comm, from, to);
  }

 private:
  // SimGrid 3.32 still uses an activity after its completion callback, in which the next one may be started:
  // so the one before is held too.
  void keep(const sg4::ActivityPtr& activity) {
    activity->set_data(&worker_);
    before_ = std::move(running_);
    running_ = activity;
  }

  Worker& worker_;
  sg4::ActivityPtr running_, before_;
};

template <class Report>
void report_completions(Report report) {
  on_completion([report](const sg4::Activity& activity) {
    if (auto* worker = activity.get_data<Worker>()) report(*worker);
  });
}

// The platform's graph in SimGrid, and lanes on it. A device is a host. A memory is hosts for the ends of pinned and
// of pageable copies, which take different links; and the same once more for when a CPU computes: then copies cross
// the CPU's memory as a link too, which they share with the CPU's kernels. A kernel is an Exec beside a flow from one
// of its CPU's places into that memory, through a link that lets it have no more than its own rate.
class SimGridKernel final : public SimulationKernel {
 public:
  SimGridKernel(const Platform& platform, sg4::NetZone* zone) : platform_(platform), zone_(zone) {
    for (const Device& device : platform.devices) {
      sg4::Host* host = add_device(zone, "device " + device.name, device.power);
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
    zone->seal();
  }

  void run_host(const std::function<void()>& program) {
    host_ = add_actor(memories_.at(0).ends[0].pinned, "host program", [this, program] {
      program();
      host_runs_ = false;
    });
  }
  void ended(Worker& shared) {
    --sharing_;
    dates_.go_to({sg4::Engine::get_clock()});
    shared.go_on();
  }

  Seconds now() const override { return dates_.now(); }
  std::vector<Joules> device_energy() const override;
  std::unique_ptr<Lane> open_lane(Worker& worker, DeviceId device) override;
  void suspend_host() override {
    host_runs_ = false;
    sg4::this_actor::suspend();
  }
  void resume_host() override {
    host_runs_ = true;
    host_->resume();
  }

 private:
  class SharedFlow;
  class PlatformLane;
  struct Ends {
    sg4::Host *pinned, *pageable;
  };
  struct LinkShare : Share {
    sg4::Link* link;
  };
  // Where a flow is in SimGrid: on a host, or on the links between two.
  struct Path {
    sg4::Host *from, *to;
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
    return &links_.emplace_back(LinkShare{{bandwidth.value}, specmoe::add_link(zone_, name, bandwidth)});
  }
  Path add_path(sg4::Host* from, sg4::Host* to, const std::vector<LinkShare*>& links) {
    std::vector<const sg4::Link*> hops;
    for (const LinkShare* each : links) hops.push_back(each->link);
    add_route(zone_, from, to, hops);
    return {from, to, {links.begin(), links.end()}};
  }

  void add_memory(const Memory& memory) {
    const auto ends = [&](const std::string& name) -> Ends {
      return {add_host(zone_, "memory " + name, kFlopsPerSecond),
              add_host(zone_, "pageable memory " + name, kFlopsPerSecond)};
    };
    memories_.push_back({{ends(memory.name), ends(memory.name + " beside a CPU")}, {}, nullptr});
    if (memory.kind != Memory::Kind::disk) return;
    LinkShare* both = add_link("accesses of " + memory.name, std::max(memory.read, memory.write));
    sg4::Host* end = add_host(zone_, "end of " + memory.name, kFlopsPerSecond);
    memories_.back().disk = {add_path(add_host(zone_, "reads of " + memory.name, kFlopsPerSecond), end,
                                      {add_link("read rate of " + memory.name, memory.read), both}),
                             add_path(add_host(zone_, "writes of " + memory.name, kFlopsPerSecond), end,
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
      node.places.push_back({rate, add_path(add_host(zone_, place, kFlopsPerSecond), memory.ends[1].pinned,
                                            {rate, memory.bandwidth})});
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

  void go_on_at(Seconds date, Worker& worker) {
    dates_.add(date, worker);
    wake_at(date);
  }
  // Calls serve() at a date.
  void wake_at(Seconds date) {
    if (serving_ || woken_ <= date) return;
    woken_ = date;
    simgrid::kernel::timer::Timer::set(date.value, [this, date] {
      if (date == woken_) serve();  // else an earlier one has come between
    });
  }
  // Where nothing is shared and the host waits, the next date is the next thing to happen: SimGrid's clock follows later.
  void serve() {
    woken_ = kNever;
    serving_ = true;
    dates_.go_to({sg4::Engine::get_clock()});
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
  sg4::NetZone* zone_;
  sg4::ActorPtr host_;
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
      : Flow(kernel.dates_, worker), kernel_(kernel), lane_(*this) {}

  void start(const Path& path, double amount) {
    path_ = &path;
    Flow::start(path.shares, amount);
  }
  /// The next is a kernel of a device that draws power.
  void draw(DeviceNode& device, const PowerDraw& power, bool memory_bound) {
    device_ = &device;
    state_ = memory_bound ? kMemoryBound : kComputeBound;
    beyond_idle_ = (memory_bound ? power.memory_bound : power.compute_bound) - power.idle;
  }
  Watts beyond_idle() const { return beyond_idle_; }
  void begin() {
    if (path_->to) return lane_.cross(path_->from, path_->to, rest_);
    if (device_ && path_->from->get_pstate() != state_) path_->from->set_pstate(state_);
    lane_.execute(path_->from, {rest_});
  }

 private:
  void was_alone(Seconds time) override {
    if (device_ && !path_->to) device_->alone += beyond_idle_ * time;
  }
  void end_at(Seconds date) override { kernel_.go_on_at(date, *this); }
  void be_shared(double rest) override {
    rest_ = rest;
    kernel_.begin_when_there(*this);
  }

  SimGridKernel& kernel_;
  SimGridLane lane_;
  const Path* path_ = nullptr;
  double rest_ = 0;
  DeviceNode* device_ = nullptr;  // only where it draws power
  PowerState state_ = kMemoryBound;
  Watts beyond_idle_;
};

// Where SimGrid's clock is behind, the devices stand still for all that SimGrid knows.
std::vector<Joules> SimGridKernel::device_energy() const {
  std::vector<Joules> all;
  if (!platform_.has_power()) return all;
  const Seconds behind = now() - Seconds{sg4::Engine::get_clock()};
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const DeviceNode& node = devices_[i];
    all.push_back(Joules{sg_host_get_consumed_energy(node.kernels.from)} +
                  platform_.devices[i].power->idle * behind + node.alone);
    if (const Flow* kernel = node.kernels.shares.front()->alone)
      all.back() += static_cast<const SharedFlow*>(kernel)->beyond_idle() * (now() - kernel->begun());
  }
  return all;
}

void SimGridKernel::begin_when_there(SharedFlow& flow) {
  ++sharing_;
  to_begin_.push_back(&flow);
  if (dates_.now() <= Seconds{sg4::Engine::get_clock()})
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
    place_->rate->link->set_bandwidth(rate.value * kUnitsPerByte);
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

std::string simgrid_version() {
  return std::to_string(SIMGRID_VERSION_MAJOR) + "." + std::to_string(SIMGRID_VERSION_MINOR);
}

SimulationEnd simulate(const Platform& platform, const std::function<void(Machine&)>& program,
                       MachineObserver* observer) {
  sg4::Engine& engine = open_engine();
  if (platform.has_power()) sg_host_energy_plugin_init();  // before the hosts
  SimGridKernel kernel(platform, root_zone(engine));
  StreamMachine machine(platform, kernel, observer);
  report_completions([&kernel](Worker& shared) { kernel.ended(shared); });
  bool returned = false;
  std::exception_ptr failure;
  kernel.run_host([&] {
    try {
      program(machine);
      returned = true;
    } catch (const simgrid::ForcefulKillException&) {
      throw;  // how SimGrid ends the actors of a deadlock
    } catch (...) {
      failure = std::current_exception();
    }
  });
  engine.run();
  if (failure) std::rethrow_exception(failure);
  if (!returned) throw std::logic_error("deadlock: the host program waits for what never comes");
  SimulationEnd end{std::max(machine.now(), kernel.now()), kernel.device_energy()};
  // The host's last calls may have ended after all that SimGrid knows of.
  for (std::size_t i = 0; i < end.device_energy.size(); ++i)
    end.device_energy[i] += platform.devices[i].power->idle * (end.date - kernel.now());
  return end;
}

namespace {

// Activities each of which is started from the callback of the one before.
template <class T, class Start>
class Chain final : public Worker {
 public:
  Chain(const std::vector<T>& work, Start start) : lane_(*this), work_(work), start_(start) {}
  void go_on() override {
    if (started_ < work_.size())
      start_(lane_, work_[started_++]);
    else
      ended_ = true;
  }
  bool ended() const { return ended_; }

 private:
  SimGridLane lane_;
  const std::vector<T>& work_;
  Start start_;
  std::size_t started_ = 0;
  bool ended_ = false;
};

}  // namespace

BareCost run_bare(const BareWork& work) {
  sg4::Engine& engine = open_engine();
  sg4::NetZone* zone = root_zone(engine);
  sg4::Host* device = add_host(zone, "device", kFlopsPerSecond);
  sg4::Host* from = add_host(zone, "from", kFlopsPerSecond);
  sg4::Host* to = add_host(zone, "to", kFlopsPerSecond);
  add_route(zone, from, to,
            {add_link(zone, "link", work.bandwidth), add_link(zone, "both ways", work.duplex)});
  zone->seal();
  report_completions([](Worker& chain) { chain.go_on(); });
  Chain kernels(work.kernels, [=](SimGridLane& lane, Seconds duration) { lane.execute(device, duration); });
  Chain copies(work.copies, [=](SimGridLane& lane, Bytes payload) {
    lane.cross(from, to, static_cast<double>(payload.count));
  });
  simgrid::kernel::timer::Timer::set(0, [&] {
    kernels.go_on();
    copies.go_on();
  });
  const std::clock_t begin = std::clock();
  engine.run();
  const std::clock_t end = std::clock();
  if (!kernels.ended() || !copies.ended()) throw std::logic_error("bare SimGrid: an activity never ended");
  return {static_cast<double>(end - begin) / CLOCKS_PER_SEC, {sg4::Engine::get_clock()}};
}

}  // namespace specmoe
