#include <vector>

#include "models/hardware/kernel_price.hpp"
#include "validation/calibration/shapes.hpp"
#include "validation/compare/validate.hpp"

namespace specmoe {

namespace {

// All that a thread of the host spends on a call, and nothing of the device's.
void scale_host_calls(Device& gpu, double factor) {
  HostCalls& calls = gpu.host_calls;
  for (Seconds* each : {&calls.launch, &calls.copy, &calls.record, &calls.wait, &calls.work})
    *each = *each * factor;
  for (Saturation& kind : gpu.saturation) kind.dispatch = kind.dispatch * factor;
  for (std::vector<Curve>& kind : gpu.curves)
    for (Curve& curve : kind)
      for (Seconds& each : curve.dispatch) each = each * factor;
}

// What the platform says that the probed launches cost.
double seconds_a_launch(const Device& gpu) {
  const std::vector<Kernel> kernels = mixed_kernels(0, 1);
  Seconds sum;
  for (const Kernel& kernel : kernels) sum += launch_call(gpu, kernel) - gpu.host_calls.work;
  return sum.value / static_cast<double>(kernels.size());
}

}  // namespace

Platform with_host(const Platform& measured, const std::vector<HostState>& hosts) {
  Platform platform = measured;
  if (hosts.empty()) return platform;
  std::vector<double> launch, copy;
  for (const HostState& host : hosts) {
    launch.push_back(host.launch);
    copy.push_back(host.copy);
  }
  const DeviceId gpu = platform.first(Device::Kind::gpu), cpu = platform.first(Device::Kind::cpu);
  scale_host_calls(platform.devices[static_cast<std::size_t>(gpu.index)],
                   median_of(launch) / seconds_a_launch(measured[gpu]));
  if (const double time = median_of(copy); time > 0) {
    const Seconds here = measured.ideal_copy_time(measured[cpu].memory, measured[gpu].memory, {kProbedCopy},
                                                  HostMemory::pageable);
    for (Link& link : platform.links)
      for (Direction* way : {&link.pageable_forward, &link.pageable_backward})
        way->bandwidth = way->bandwidth * (here.value / time);
  }
  return platform;
}

}  // namespace specmoe
