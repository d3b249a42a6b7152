// How fast the host is just now. Virtual hosts change their speed within seconds, and what a launch or a pageable copy
// costs with it: a run is compared to a simulation of the host that it had.
#pragma once
#include "validation/calibration/runs.hpp"
#include "validation/cuda/cuda_machine.hpp"
#include "validation/cuda/runner.hpp"

namespace specmoe::cuda {

/// Seconds of the host a launch of mixed_kernels(0, 1), eight times over, the GPU free to run them.
double seconds_a_launch(KernelRunner& runner, const OwnedStream& stream, const std::vector<Kernel>& kernels);

class HostProbe {
 public:
  HostProbe(KernelRunner& runner, const HostPool& host);
  /// Takes about 20 ms, and with copies 60.
  /// @param copies whether copies out of the pool are timed too: where it is pageable
  HostState measure(bool copies);

 private:
  KernelRunner& runner_;
  const HostPool& host_;
  std::vector<Kernel> kernels_;
  OwnedStream stream_;
  DeviceBuffer target_;
  std::int64_t place_ = 0;
};

}  // namespace specmoe::cuda
