#include "validation/cuda/host_probe.hpp"

#include "validation/calibration/shapes.hpp"
#include "validation/cuda/harness.hpp"

namespace specmoe::cuda {

double seconds_a_launch(KernelRunner& runner, const OwnedStream& stream, const std::vector<Kernel>& kernels) {
  constexpr int kTimes = 8;
  const double time = host_seconds([&] {
    for (int i = 0; i < kTimes; ++i)
      for (const Kernel& each : kernels) runner.launch(stream, each);
  });
  stream.synchronize();
  return time / kTimes / static_cast<double>(kernels.size());
}

HostProbe::HostProbe(KernelRunner& runner, const HostPool& host)
    : runner_(runner), host_(host), kernels_(mixed_kernels(0, 1)), target_(kProbedCopy) {
  seconds_a_launch(runner_, stream_, kernels_);  // loads what is loaded once
}

HostState HostProbe::measure(bool copies) {
  constexpr int kLaunches = 12, kCopies = 16;
  HostState state;
  std::vector<double> launches, times;
  for (int i = 0; i < kLaunches; ++i) launches.push_back(seconds_a_launch(runner_, stream_, kernels_));
  state.launch = median_of(launches);
  // From places all over the pool, never twice the same in a row: its pages lie in memories of different distance, and
  // what was copied just now is in a cache.
  const std::int64_t places = host_.size().count / kProbedCopy;
  for (int i = 0; copies && i < kCopies; ++i)
    times.push_back(host_seconds([&] {
      place_ = (place_ + places * 5 / 13 + 1) % places;
      check(cudaMemcpyAsync(target_.data(), host_.data() + place_ * kProbedCopy, kProbedCopy,
                            cudaMemcpyHostToDevice, stream_),
            "cudaMemcpyAsync");
      stream_.synchronize();
    }));
  if (copies) state.copy = median_of(times);
  return state;
}

}  // namespace specmoe::cuda
