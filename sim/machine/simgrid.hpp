// SimGrid 3.32 to 4.x under one roof, down to what the simulated machine needs of it. Of its headers only simgrid.cpp
// knows.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "sim/base/units.hpp"
#include "sim/machine/lanes.hpp"

namespace simgrid::s4u {
class Host;
class Link;
class NetZone;
}  // namespace simgrid::s4u

namespace specmoe::sg {

using Host = simgrid::s4u::Host;
using Link = simgrid::s4u::Link;
using Zone = simgrid::s4u::NetZone;

/// Opens the process's one engine, with the flags that make it exact for a machine's links.
/// @param meters whether hosts that draw power are metered @throws std::logic_error if there was one
Zone* open_engine(bool meters);
/// The platform is whole.
void seal(Zone* zone);

Host* add_host(Zone* zone, const std::string& name);
/// A host that draws `power`, if there is any.
Host* add_device(Zone* zone, const std::string& name, const std::optional<PowerDraw>& power);
/// From now on a device's kernels draw what memory or what arithmetic makes it draw.
void set_draw(Host* device, bool memory_bound);
/// What a metered device has drawn so far.
Joules drawn(const Host* device);

Link* add_link(Zone* zone, const std::string& name, BytesPerSecond bandwidth);
void set_bandwidth(Link* link, BytesPerSecond bandwidth);
void add_route(Zone* zone, Host* from, Host* to, const std::vector<const Link*>& links);

Seconds now();
void call_at(Seconds date, std::function<void()> callback);
/// Hears of every activity that has ended, by its worker.
void on_completion(const std::function<void(Worker&)>& callback);

/// Starts activities for a worker, one at a time.
class Activities {
 public:
  explicit Activities(Worker& worker);
  ~Activities();

  /// An Exec, which shares the host with what else runs on it.
  void execute(Host* host, Seconds duration);
  /// A Comm, which shares the links between the hosts with what else crosses them. @param bytes need not be whole
  void cross(Host* from, Host* to, double bytes);

 private:
  struct Held;
  Worker& worker_;
  std::unique_ptr<Held> held_;
};

/// Runs until nothing is left to happen.
void run();
/// The same with a host program: the one actor. What it throws is thrown again.
/// @throws std::logic_error if it waits for what never comes
void run(Host* where, const std::function<void()>& program);
/// Called by the host program: returns after resume_host.
void suspend_host();
void resume_host();

}  // namespace specmoe::sg
