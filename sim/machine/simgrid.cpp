#include "sim/machine/simgrid.hpp"

#include <simgrid/s4u.hpp>
// after s4u.hpp: in 3.32 they do not stand alone
#include <simgrid/plugins/energy.h>
#include <simgrid/version.h>
#include <simgrid/Exception.hpp>
#include <simgrid/kernel/Timer.hpp>
#include <xbt/config.hpp>

#include <fmt/format.h>

#include <cmath>
#include <exception>
#include <stdexcept>

#include "sim/machine/machine.hpp"

#define SIMGRID_AT_LEAST(major, minor) (SIMGRID_VERSION >= 100UL * (100UL * (major) + (minor)))

namespace specmoe {

std::string simgrid_version() {
  return std::to_string(SIMGRID_VERSION_MAJOR) + "." + std::to_string(SIMGRID_VERSION_MINOR);
}

namespace sg {

namespace sg4 = simgrid::s4u;

namespace {

constexpr double kFlopsPerSecond = 1e9;  // of every host: an Exec's flops are its nanoseconds
// Payloads are whole numbers. What is left of a copy when another joins it is no whole number of bytes.
constexpr double kUnitsPerByte = 1 << 20;
// States of a device have one speed and differ by what it draws.
enum PowerState : unsigned long { kMemoryBound, kComputeBound };

sg4::Engine* engine;
sg4::ActorPtr host_program;

template <class T>
void set_flag(const std::string& name, const T& value) {
  sg4::Engine::set_config(name, value);
  if (simgrid::config::get_value<T>(name) != value)
    throw std::logic_error("SimGrid ignored the flag " + name);
}

template <class Speed>
Host* add_any_host(Zone* zone, const std::string& name, const Speed& speed) {
#if SIMGRID_AT_LEAST(4, 0)
  return zone->add_host(name, speed);
#else
  return zone->create_host(name, speed);
#endif
}

sg4::ActorPtr add_actor(Host* host, const std::string& name, const std::function<void()>& body) {
#if SIMGRID_AT_LEAST(4, 1)
  return host->add_actor(name, body);
#elif SIMGRID_AT_LEAST(4, 0)
  return engine->add_actor(name, host, body);
#else
  return sg4::Actor::create(name, host, body);
#endif
}

void start(const sg4::ExecPtr& exec) {
#if SIMGRID_AT_LEAST(3, 36)
  exec->detach();  // starts it too; what maestro starts and does not detach is never released
#else
  exec->start();
#endif
}

void start(const sg4::CommPtr& comm, Host* from, Host* to) {
  comm->set_source(from);
  comm->set_destination(to);  // starts it in 3.32
  if (comm->get_state() != sg4::Activity::State::STARTED) comm->start();
}

}  // namespace

// The defaults of the flags are those of a wide-area TCP network. The engine is never destroyed: the teardown is not
// safe after an exception, and the process may not have a second one.
Zone* open_engine(bool meters) {
  if (engine) throw std::logic_error("a process runs one simulation: see run_isolated");
  std::vector<std::string> arguments{"specmoe", "--log=root.thresh:critical"};
#ifdef __SANITIZE_ADDRESS__
  arguments.push_back("--cfg=contexts/factory:thread");  // AddressSanitizer knows no other stacks
#endif
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  auto argc = static_cast<int>(arguments.size());
  engine = new sg4::Engine(&argc, argv.data());
  set_flag<std::string>("network/model", "CM02");  // no TCP factors on bandwidth and latency
  set_flag("network/crosstraffic", false);         // no 5 % of acknowledgements on the way back
  set_flag("network/TCP-gamma", 0.0);              // no window that caps a flow
  set_flag("surf/precision", 1e-12);               // dates within this are merged; the default is 1 ns
  if (meters) sg_host_energy_plugin_init();        // before the hosts
#if SIMGRID_AT_LEAST(4, 0)
  return engine->get_netzone_root();
#else
  return sg4::create_full_zone("root");
#endif
}

void seal(Zone* zone) { zone->seal(); }

Host* add_host(Zone* zone, const std::string& name) { return add_any_host(zone, name, kFlopsPerSecond); }

// SimGrid draws its figures from a property "idle:one core:all cores" of each state of a host: the host's one core is
// busy as soon as one kernel runs, and no busier with two.
Host* add_device(Zone* zone, const std::string& name, const std::optional<PowerDraw>& power) {
  if (!power) return add_host(zone, name);
  Host* host = add_any_host(zone, name, std::vector<double>{kFlopsPerSecond, kFlopsPerSecond});
  host->set_property("wattage_per_state", fmt::format("{0}:{1}:{1},{0}:{2}:{2}", power->idle.value,
                                                      power->memory_bound.value, power->compute_bound.value));
  return host;
}

void set_draw(Host* device, bool memory_bound) {
  const PowerState state = memory_bound ? kMemoryBound : kComputeBound;
  if (device->get_pstate() != state) device->set_pstate(state);
}

Joules drawn(const Host* device) { return {sg_host_get_consumed_energy(device)}; }

// Latency 0: CM02 shares a link by 1/latency, so the fixed cost of a copy is a wait of its copy engine.
Link* add_link(Zone* zone, const std::string& name, BytesPerSecond bandwidth) {
#if SIMGRID_AT_LEAST(4, 0)
  return zone->add_link(name, bandwidth.value * kUnitsPerByte)->set_latency(0);
#else
  return zone->create_link(name, bandwidth.value * kUnitsPerByte)->set_latency(0);
#endif
}

void set_bandwidth(Link* link, BytesPerSecond bandwidth) {
  link->set_bandwidth(bandwidth.value * kUnitsPerByte);
}

void add_route(Zone* zone, Host* from, Host* to, const std::vector<const Link*>& links) {
  const std::vector<sg4::LinkInRoute> hops(links.begin(), links.end());
#if SIMGRID_AT_LEAST(3, 35)
  zone->add_route(from, to, hops, false);
#else
  zone->add_route(from->get_netpoint(), to->get_netpoint(), nullptr, nullptr, hops, false);
#endif
}

Seconds now() { return {sg4::Engine::get_clock()}; }

void call_at(Seconds date, std::function<void()> callback) {
  simgrid::kernel::timer::Timer::set(date.value, std::move(callback));
}

void on_completion(const std::function<void(Worker&)>& callback) {
  const auto report = [callback](const sg4::Activity& activity) {
    if (auto* worker = activity.get_data<Worker>()) callback(*worker);
  };
#if SIMGRID_AT_LEAST(3, 34)
  sg4::Exec::on_completion_cb(report);
  sg4::Comm::on_completion_cb(report);
#else
  sg4::Activity::on_completion_cb(report);
#endif
}

// SimGrid 3.32 still uses an activity after its completion callback, in which the next one may be started: so the one
// before is held too.
struct Activities::Held {
  void keep(const sg4::ActivityPtr& activity, Worker& worker) {
    activity->set_data(&worker);
    before = std::move(running);
    running = activity;
  }
  sg4::ActivityPtr running, before;
};

Activities::Activities(Worker& worker) : worker_(worker), held_(std::make_unique<Held>()) {}
Activities::~Activities() = default;

void Activities::execute(Host* host, Seconds duration) {
  const auto exec = sg4::Exec::init();
  exec->set_flops_amount(duration.value * kFlopsPerSecond)->set_host(host);
  held_->keep(exec, worker_);
  start(exec);
}

void Activities::cross(Host* from, Host* to, double bytes) {
  const auto comm = sg4::Comm::sendto_init();
  comm->set_payload_size(static_cast<std::uint64_t>(std::ceil(bytes * kUnitsPerByte)));
  held_->keep(comm, worker_);
  start(comm, from, to);
}

void run() { engine->run(); }

void run(Host* where, const std::function<void()>& program) {
  bool returned = false;
  std::exception_ptr failure;
  host_program = add_actor(where, "host program", [&] {
    try {
      program();
      returned = true;
    } catch (const simgrid::ForcefulKillException&) {
      throw;  // how SimGrid ends the actors of a deadlock
    } catch (...) {
      failure = std::current_exception();
    }
  });
  run();
  if (failure) std::rethrow_exception(failure);
  if (!returned) throw std::logic_error("deadlock: the host program waits for what never comes");
}

void suspend_host() { sg4::this_actor::suspend(); }
void resume_host() { host_program->resume(); }

}  // namespace sg
}  // namespace specmoe
