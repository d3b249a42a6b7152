// The surface that an inference engine programs against, shaped like a CUDA runtime. SimulatedMachine gives
// each verb a simulated activity; a CudaMachine gives it the real call.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "sim/base/kernel.hpp"
#include "sim/base/units.hpp"

namespace specmoe {

/// A queue of work that runs in order. Handle of the machine that opened it.
struct Stream {
  int index = -1;
};

/// A point in a stream. Shared: kept as long as someone may wait on it or ask for its time.
class EventState {
 public:
  virtual ~EventState() = default;
};
using Event = std::shared_ptr<EventState>;

/// Names a copy in the timeline.
struct CopyLabel {
  const char* name = "copy";
  std::int32_t layer = -1;
  std::int32_t expert = -1;
  /// Where in the expert the copy begins, if it is a piece of one.
  Bytes offset{};
};

/// Hears of work as it ends. Dates are on the machine's clock.
class MachineObserver {
 public:
  virtual ~MachineObserver() = default;
  virtual void stream_opened(Stream, DeviceId, const std::string& /*name*/) {}
  virtual void kernel_ended(Stream, const Kernel&, Seconds /*start*/, Seconds /*end*/) {}
  /// start is when the copy engine took it up.
  virtual void copy_ended(Stream, const CopyLabel&, const Route&, Bytes, Seconds /*start*/, Seconds /*end*/) {
  }
};

/// What an engine runs on, shaped like a CUDA runtime: real, or simulated.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual const Platform& platform() const = 0;

  /// Streams are in order; streams of one device run beside each other. A kernel of a CPU shares the bandwidth of its
  /// memory with the copies out of and into it. @throws std::logic_error for more than four streams of a CPU, or where
  /// the machine has no CPU kernels
  virtual Stream open_stream(DeviceId device, const std::string& name) = 0;
  /// Appends a kernel; returns at once and costs the host one launch.
  virtual void launch(Stream stream, const Kernel& kernel) = 0;
  /// Appends a copy; costs the host one call. One copy engine a device and direction serves its streams'
  /// copies first come, first served; a copy that follows another there without a pause pays no latency. From or to
  /// pageable host memory the call returns when the copy has ended.
  virtual void copy(Stream stream, MemoryId from, MemoryId to, Bytes bytes, HostMemory host,
                    const CopyLabel& label = {}) = 0;
  /// Appends a point that is reached when all before it has ended.
  virtual Event record(Stream stream) = 0;
  /// What is appended after this starts only when the event has been reached, and if another stream recorded it,
  /// Device::event_latency of that stream's device later.
  virtual void wait(Stream stream, const Event& event) = 0;
  /// The host waits for the event, and goes on HostCalls::synchronize later; also if it was reached long ago.
  virtual void synchronize(const Event& event) = 0;
  /// The host computes for so long itself and makes no call meanwhile. What was issued goes on.
  virtual void work(Seconds time) = 0;
  /// Whether the host can see that the event was reached, without waiting. For the order of copies, never for what is
  /// decided. A simulated host sees what had been reached when it last waited.
  virtual bool reached(const Event& event) const = 0;
  /// When the event was reached. @throws std::logic_error if the host does not know yet that it was.
  virtual Seconds time_of(const Event& event) const = 0;
  /// The host's clock.
  virtual Seconds now() const = 0;
  /// What each device has drawn so far, [device]; empty where the machine does not know.
  virtual std::vector<Joules> device_energy() const { return {}; }
};

/// What a simulation leaves.
struct SimulationEnd {
  /// When everything had ended.
  Seconds date;
  /// What each device drew until then, [device]; empty for a platform without power.
  std::vector<Joules> device_energy;
};

/// Runs `program` as the host thread of a simulated machine (SimGrid; one actor) until it returns and all its
/// streams have drained. At most once a process: see run_isolated. What the program throws is thrown again
/// here; a program that waits for what never comes is a std::logic_error.
SimulationEnd simulate(const Platform& platform, const std::function<void(Machine&)>& program,
                       MachineObserver* observer = nullptr);

/// The version of SimGrid that this was compiled with, e.g. "3.32".
std::string simgrid_version();

}  // namespace specmoe
