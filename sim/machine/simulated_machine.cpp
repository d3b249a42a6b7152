// The simulation kernel on SimGrid, and the run of a host program on it. The only file that includes SimGrid.
//
// The host program is one actor. Streams and copy engines live in SimGrid's maestro context: they start
// activities from timers and from the completion callbacks of others.
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
#include <exception>
#include <optional>
#include <stdexcept>

#include "sim/base/input_error.hpp"
#include "sim/machine/bench.hpp"
#include "sim/machine/lanes.hpp"
#include "sim/machine/machine.hpp"
#include "sim/machine/stream_machine.hpp"

// SimGrid 3.32 to 4.x under one roof, down to start().
#define SIMGRID_AT_LEAST(major, minor) (SIMGRID_VERSION >= 100UL * (100UL * (major) + (minor)))

namespace specmoe {
namespace {

namespace sg4 = simgrid::s4u;

constexpr double kFlopsPerSecond = 1e9;  // of every host: an Exec's flops are its nanoseconds

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
  return zone->add_link(name, bandwidth.value)->set_latency(0);
#else
  return zone->create_link(name, bandwidth.value)->set_latency(0);
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

  void wait_until(Seconds date) {
    simgrid::kernel::timer::Timer::set(date.value, [worker = &worker_] { worker->go_on(); });
  }
  void execute(sg4::Host* host, Seconds duration) {
    const auto exec = sg4::Exec::init();
    exec->set_flops_amount(duration.value * kFlopsPerSecond)->set_host(host);
    keep(exec);
    start(exec);
  }
  void cross(sg4::Host* from, sg4::Host* to, Bytes payload) {
    const auto comm = sg4::Comm::sendto_init();
    comm->set_payload_size(static_cast<std::uint64_t>(payload.count));
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

void report_completions() {
  on_completion([](const sg4::Activity& activity) {
    if (auto* worker = activity.get_data<Worker>()) worker->go_on();
  });
}

// The platform's graph in SimGrid, and lanes on it. A device is a host. A memory is hosts for the ends of pinned and
// of pageable copies, which take different links; and the same once more for when a CPU computes: then copies cross
// the CPU's memory as a link too, which they share with the CPU's kernels. A kernel is an Exec beside a flow from one
// of its CPU's places into that memory, through a link that lets it have no more than its own rate.
class SimGridKernel final : public SimulationKernel {
 public:
  SimGridKernel(const Platform& platform, sg4::NetZone* zone) : platform_(platform), zone_(zone) {
    for (const Device& device : platform.devices)
      devices_.push_back({add_device(zone, "device " + device.name, device.power), {}, 0});
    for (const Memory& memory : platform.memories) add_memory(memory);
    for (std::size_t i = 0; i < devices_.size(); ++i) add_places(devices_[i], platform.devices[i]);
    for (const Link& link : platform.links) add_directions(link);
    const auto memories = static_cast<int>(platform.memories.size());
    for (int from = 0; from < memories; ++from)
      for (int to = 0; to < memories; ++to)
        if (from != to)
          for (const bool beside_cpu : {false, true}) add_routes({from}, {to}, beside_cpu);
    zone->seal();
  }

  void run_host(const std::function<void()>& program) {
    host_ = add_actor(memories_.at(0).ends[0].pinned, "host program", program);
  }

  Seconds now() const override { return {sg4::Engine::get_clock()}; }
  std::vector<Joules> device_energy() const override {
    std::vector<Joules> all;
    if (platform_.has_power())
      for (const DeviceNode& device : devices_) all.push_back({sg_host_get_consumed_energy(device.host)});
    return all;
  }
  std::unique_ptr<Lane> open_lane(Worker& worker, DeviceId device) override;
  void suspend_host() override { sg4::this_actor::suspend(); }
  void resume_host() override { host_->resume(); }

 private:
  class PlatformLane;
  struct Ends {
    sg4::Host *pinned, *pageable;
  };
  // Reads and writes flow over a link each, and share one of the faster rate. SimGrid's own disks hold on to every access
  // that was made: their cost grows with the square of the number.
  struct Disk {
    sg4::Host *reads, *writes, *end;
  };
  struct MemoryNode {
    std::array<Ends, 2> ends;  // [whether a CPU computes]
    Disk disk;
    const sg4::Link* bandwidth;  // only of a CPU's memory
  };
  // From where a kernel's traffic flows into the memory, at the rate of the link.
  struct Place {
    sg4::Host* host;
    sg4::Link* rate;
  };
  struct DeviceNode {
    sg4::Host* host;
    std::vector<Place> places;
    std::size_t taken;
  };
  static constexpr std::size_t kPlaces = 4;  // streams of a CPU
  struct OneWay {
    std::vector<const sg4::Link*> pinned, pageable;
  };

  const MemoryNode& operator[](MemoryId id) const { return memories_[static_cast<std::size_t>(id.index)]; }

  sg4::Link* add_link(const std::string& name, BytesPerSecond bandwidth) const {
    return specmoe::add_link(zone_, name, checked(name, bandwidth));
  }
  // SimGrid takes any number and goes wrong later.
  static BytesPerSecond checked(const std::string& name, BytesPerSecond bandwidth) {
    if (!(bandwidth.value > 0) || !std::isfinite(bandwidth.value))
      throw std::logic_error("platform: the bandwidth of " + name + " is not positive");
    return bandwidth;
  }

  void add_memory(const Memory& memory) {
    const auto ends = [&](const std::string& name) -> Ends {
      return {add_host(zone_, "memory " + name, kFlopsPerSecond),
              add_host(zone_, "pageable memory " + name, kFlopsPerSecond)};
    };
    memories_.push_back({{ends(memory.name), ends(memory.name + " beside a CPU")}, {}, nullptr});
    if (memory.kind != Memory::Kind::disk) return;
    const auto* both = add_link("accesses of " + memory.name, std::max(memory.read, memory.write));
    Disk& disk = memories_.back().disk;
    disk = {add_host(zone_, "reads of " + memory.name, kFlopsPerSecond),
            add_host(zone_, "writes of " + memory.name, kFlopsPerSecond),
            add_host(zone_, "end of " + memory.name, kFlopsPerSecond)};
    add_route(zone_, disk.reads, disk.end, {add_link("read rate of " + memory.name, memory.read), both});
    add_route(zone_, disk.writes, disk.end, {add_link("write rate of " + memory.name, memory.write), both});
  }

  void add_places(DeviceNode& node, const Device& device) {
    if (device.kind != Device::Kind::cpu) return;
    MemoryNode& memory = memories_[static_cast<std::size_t>(device.memory.index)];
    const std::string name = platform_[device.memory].name;
    if (!memory.bandwidth) memory.bandwidth = add_link("bandwidth of " + name, platform_[device.memory].read);
    for (std::size_t i = 0; i < kPlaces; ++i) {
      const std::string place = "place " + std::to_string(i) + " of " + device.name;
      node.places.push_back({add_host(zone_, place, kFlopsPerSecond),
                             add_link(place + " rate", platform_[device.memory].read)});
      add_route(zone_, node.places.back().host, memory.ends[1].pinned,
                {node.places.back().rate, memory.bandwidth});
    }
  }

  void add_directions(const Link& link) {
    const sg4::Link* both = nullptr;
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

  void add_routes(MemoryId from, MemoryId to, bool beside_cpu) {
    Route route;
    try {
      route = platform_.route(from, to);
    } catch (const InputError&) {
      return;  // an error only for a program that copies this way
    }
    std::vector<const sg4::Link*> pinned, pageable;
    for (const Hop& hop : route.hops) {
      const OneWay& direction = directions_[static_cast<std::size_t>(2 * hop.link + !hop.forward)];
      pinned.insert(pinned.end(), direction.pinned.begin(), direction.pinned.end());
      pageable.insert(pageable.end(), direction.pageable.begin(), direction.pageable.end());
    }
    if (beside_cpu)
      for (const MemoryId end : {from, to})
        if (const sg4::Link* bandwidth = (*this)[end].bandwidth) {
          pinned.push_back(bandwidth);
          pageable.push_back(bandwidth);
        }
    const Ends &source = (*this)[from].ends[beside_cpu], &target = (*this)[to].ends[beside_cpu];
    add_route(zone_, source.pinned, target.pinned, pinned);
    add_route(zone_, source.pageable, target.pinned, pageable);
  }

  const Platform& platform_;
  sg4::NetZone* zone_;
  sg4::ActorPtr host_;
  std::vector<DeviceNode> devices_;
  bool cpu_computes_ = false;
  std::vector<MemoryNode> memories_;
  std::vector<OneWay> directions_;  // [2 * link + backward]
};

class SimGridKernel::PlatformLane final : public Lane {
 public:
  PlatformLane(const SimGridKernel& kernel, Worker& worker, const Place* place)
      : kernel_(kernel), lane_(worker), place_(place), both_(worker) {}

  void wait_until(Seconds date) override { lane_.wait_until(date); }
  void execute(DeviceId device, Seconds duration, Bytes traffic, bool memory_bound) override {
    sg4::Host* host = kernel_.devices_[static_cast<std::size_t>(device.index)].host;
    const unsigned long state = memory_bound ? kMemoryBound : kComputeBound;
    if (kernel_.platform_[device].power && host->get_pstate() != state) host->set_pstate(state);
    if (!place_ || traffic <= Bytes{0}) return lane_.execute(host, duration);
    place_->rate->set_bandwidth((traffic / duration).value);
    both_.left = 2;
    both_.compute.execute(host, duration);
    both_.flow.cross(place_->host, kernel_[kernel_.platform_[device].memory].ends[1].pinned, traffic);
  }
  void cross(MemoryId from, MemoryId to, HostMemory host, Bytes payload) override {
    const Ends& source = kernel_[from].ends[kernel_.cpu_computes_];
    lane_.cross(host == HostMemory::pinned ? source.pinned : source.pageable,
                kernel_[to].ends[kernel_.cpu_computes_].pinned, payload);
  }
  void read(MemoryId disk, Bytes bytes) override {
    lane_.cross(kernel_[disk].disk.reads, kernel_[disk].disk.end, bytes);
  }
  void write(MemoryId disk, Bytes bytes) override {
    lane_.cross(kernel_[disk].disk.writes, kernel_[disk].disk.end, bytes);
  }

 private:
  // Goes on when both have ended.
  struct Both final : Worker {
    explicit Both(Worker& w) : worker(w), compute(*this), flow(*this) {}
    void go_on() override {
      if (--left == 0) worker.go_on();
    }
    Worker& worker;
    SimGridLane compute, flow;
    int left = 0;
  };

  const SimGridKernel& kernel_;
  SimGridLane lane_;
  const Place* place_;
  Both both_;
};

std::unique_ptr<Lane> SimGridKernel::open_lane(Worker& worker, DeviceId device) {
  const Place* place = nullptr;
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
  report_completions();
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
  report_completions();
  Chain kernels(work.kernels, [=](SimGridLane& lane, Seconds duration) { lane.execute(device, duration); });
  Chain copies(work.copies, [=](SimGridLane& lane, Bytes payload) { lane.cross(from, to, payload); });
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
