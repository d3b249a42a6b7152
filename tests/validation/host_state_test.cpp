#include <doctest/doctest.h>

#include "models/hardware/kernel_price.hpp"
#include "tests/approx.hpp"
#include "validation/calibration/shapes.hpp"
#include "validation/compare/validate.hpp"

using namespace specmoe;

namespace {

const Platform& h100() {
  static const Platform platform = Platform::load("h100_sxm_80gb");
  return platform;
}
const Device& gpu_of(const Platform& platform) { return platform[platform.first(Device::Kind::gpu)]; }

// Mean of the probed launches, without the engine's own work.
double launch_of(const Platform& platform) {
  double sum = 0;
  const auto kernels = mixed_kernels(0, 1);
  for (const Kernel& kernel : kernels)
    sum += (launch_call(gpu_of(platform), kernel) - gpu_of(platform).host_calls.work).value;
  return sum / static_cast<double>(kernels.size());
}
Seconds pageable(const Platform& p, std::int64_t bytes) {
  return p.ideal_copy_time(p.memory("dram"), p.memory("vram"), {bytes}, HostMemory::pageable);
}

}  // namespace

TEST_CASE(
    "host of a run: calls cost what the probe says, the median of the repeats, the device stays as it was") {
  const Platform slow = with_host(h100(), {{9e-6, 0}, {12e-6, 0}, {40e-6, 0}});
  CHECK(launch_of(slow) == approx(12e-6));
  const double factor = 12e-6 / launch_of(h100());
  const HostCalls &is = gpu_of(slow).host_calls, &was = gpu_of(h100()).host_calls;
  CHECK(is.copy.value == approx(factor * was.copy.value));
  CHECK(is.wait.value == approx(factor * was.wait.value));
  CHECK(is.synchronize == was.synchronize);
  const Kernel product{Gemm{4, 2048, 2048}};
  CHECK(kernel_time(slow, slow.first(Device::Kind::gpu), product) ==
        kernel_time(h100(), h100().first(Device::Kind::gpu), product));
  CHECK(pageable(slow, 1 << 24) == pageable(h100(), 1 << 24));  // it was pinned: not probed
}

TEST_CASE("host of a run: pageable copies are as fast as the probe's") {
  const Platform slow = with_host(h100(), {{9e-6, 4e-3}});
  const Seconds latency = h100().links.front().pageable_forward.latency;
  CHECK(pageable(slow, kProbedCopy).value == doctest::Approx(4e-3).epsilon(latency.value / 4e-3 + 1e-9));
  CHECK(slow.links.front().forward.bandwidth.value == h100().links.front().forward.bandwidth.value);
}

TEST_CASE("host of a run: without probes the platform is the calibrated one") {
  CHECK(launch_of(with_host(h100(), {})) == approx(launch_of(h100())));
}
