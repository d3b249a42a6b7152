// What streams and copy engines need of a simulation kernel. simulated_machine.cpp gives it, on SimGrid where something is shared.
#pragma once
#include <memory>
#include <vector>

#include "models/hardware/platform.hpp"
#include "sim/base/units.hpp"

namespace specmoe {

/// Does one thing at a time on a lane, and goes on when it has ended.
class Worker {
 public:
  /// The activity or the wait that was started on the lane has ended.
  virtual void go_on() = 0;

 protected:
  ~Worker() = default;
};

/// Starts one activity after another for a worker; each returns at once. Only waits may be under way beside each other.
/// Durations and sizes are positive.
class Lane {
 public:
  virtual ~Lane() = default;
  virtual void wait_until(Seconds date) = 0;
  /// Shares the device with what else runs on it. A CPU's kernel also moves `traffic` bytes through its memory, at no
  /// more than traffic / duration, and shares the memory's bandwidth with copies and other CPU kernels: it ends with
  /// the later of the two. Other devices take no notice of `traffic`. While kernels run, the device draws what the
  /// bound of the one that began last makes it draw.
  virtual void execute(DeviceId device, Seconds duration, Bytes traffic, bool memory_bound) = 0;
  /// Crosses the links from one memory to another, sharing each with what else crosses it.
  virtual void cross(MemoryId from, MemoryId to, HostMemory host, Bytes payload) = 0;
  virtual void read(MemoryId disk, Bytes bytes) = 0;
  virtual void write(MemoryId disk, Bytes bytes) = 0;
};

/// The clock and the lanes that streams are played on.
class SimulationKernel {
 public:
  virtual ~SimulationKernel() = default;
  virtual Seconds now() const = 0;
  /// As Machine::device_energy, at now().
  virtual std::vector<Joules> device_energy() const = 0;
  /// @param device whose kernels the lane will execute; none for lanes without kernels. From the first lane of a CPU
  /// on, copies out of and into its memory share that memory's bandwidth.
  virtual std::unique_ptr<Lane> open_lane(Worker& worker, DeviceId device) = 0;
  /// Called by the host program: returns after resume_host.
  virtual void suspend_host() = 0;
  virtual void resume_host() = 0;
};

}  // namespace specmoe
