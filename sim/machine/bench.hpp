// What bare SimGrid costs: the yardstick of `specmoe bench` for the simulated machine.
#pragma once
#include <vector>

#include "sim/base/units.hpp"

namespace specmoe {

/// Activities for bare SimGrid: a chain of Execs on one host beside a chain of Comms on one link, each
/// started from the completion callback of the one before; no streams, events, host program or observer.
struct BareWork {
  /// Durations of the Execs; positive.
  std::vector<Seconds> kernels;
  /// Payloads of the Comms; positive.
  std::vector<Bytes> copies;
  /// Of the link in one direction, and of what both directions share, which every Comm crosses too.
  BytesPerSecond bandwidth, duplex;
};

/// What a run on SimGrid alone took.
struct BareCost {
  /// CPU time of the run, without setting up the platform.
  double cpu_seconds;
  /// The date of the last completion.
  Seconds simulated;
};

/// Runs the work on SimGrid with the flags of the simulated machine. Counts as this process's one simulation
/// (see simulate). @throws std::logic_error if there was one already or an activity did not end.
BareCost run_bare(const BareWork& work);

}  // namespace specmoe
