#include <doctest/doctest.h>

#include "models/hardware/kernel_price.hpp"
#include "tests/approx.hpp"
#include "tests/machine/test_platform.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

Seconds gemm(const Platform& p, std::int64_t m, std::int64_t n, std::int64_t k,
             WeightFormat weights = WeightFormat::bf16) {
  return kernel_time(p, p.first(Device::Kind::gpu), {Gemm{m, n, k, weights}});
}

}  // namespace

TEST_CASE("kernel time: the largest of the floor, the traffic and the padded arithmetic") {
  Platform p = test_platform();
  p.memories[2].read = {1e12};
  p.devices[1].peak[WeightFormat::bf16] = {100e12};
  p.devices[1].saturation[0] = {{5e-6}, 0.8, {1'000'000}, 0.5, 16};
  // traffic: (2 (1000 x 1000 + 1 x 2000) + 1e6) B / 0.8e12 B/s = 3.755 us, below the floor
  CHECK(gemm(p, 1, 1000, 1000).value == specmoe::approx(5e-6));
  // traffic: (2 (1e8 + 2e4) + 1e6) B / 0.8e12 B/s = 251.3 us
  CHECK(gemm(p, 1, 10'000, 10'000).value == specmoe::approx(251.3e-6).epsilon(1e-6));
  // arithmetic: 2 x 65 rows padded to 80 x 1e8 / 50e12 = 320 us
  CHECK(gemm(p, 65, 10'000, 10'000).value == specmoe::approx(320e-6).epsilon(1e-9));
}

TEST_CASE("kernel time: grouped experts fill whole tiles each, and stored formats save their traffic") {
  Platform p = test_platform();
  p.memories[2].read = {1e12};
  p.devices[1].peak[WeightFormat::bf16] = {1e12};
  p.devices[1].saturation[1] = {{0}, 1, {0}, 1, 16};
  const auto grouped = [&](std::int64_t rows, std::int64_t groups) {
    return kernel_time(p, kGpu, {GroupedGemm{rows, groups, 1000, 1000}}).value;
  };
  // 8 rows over 8 experts: each padded to 16: 2 x 128 x 1e6 / 1e12 = 256 us; over one expert: 32 us
  CHECK(grouped(8, 8) == specmoe::approx(256e-6));
  CHECK(grouped(8, 1) == specmoe::approx(32e-6));
  // 9 rows over 8 experts: one has 2 rows, still one tile, so as 8 over 8; 129 over 8: one has 17 rows, two
  // tiles, the others 16: 2 x (32 + 7 x 16) x 1e6 / 1e12 = 288 us
  CHECK(grouped(9, 8) == specmoe::approx(256e-6));
  CHECK(grouped(129, 8) == specmoe::approx(288e-6));
  // mxfp4: 4.25 bits of 16: 0.53125 B x 1e8 + activations
  p.devices[1].peak[WeightFormat::bf16] = {1e18};
  CHECK(gemm(p, 1, 10'000, 10'000, WeightFormat::mxfp4).value ==
        specmoe::approx((53'125'000 + 40'000) * 1e-12).epsilon(1e-9));
}

TEST_CASE("kernel time: one more row over the same experts never costs less") {
  // 9 rows over 8 experts once cost 144 us where 8 rows cost 256 us: the padding was that of the mean rows.
  Platform p = test_platform();
  p.memories[2].read = {1e15};  // bound by arithmetic, where padding counts
  p.devices[1].peak[WeightFormat::bf16] = {1e12};
  p.devices[1].saturation[1] = {{0}, 1, {0}, 1, 16};
  Seconds before;
  for (std::int64_t rows = 1; rows <= 1024; ++rows) {
    CAPTURE(rows);
    const Seconds time = kernel_time(p, kGpu, {GroupedGemm{rows, 8, 1000, 1000}});
    CHECK(time.value >= before.value * (1 - 1e-12));  // but for rounding
    before = time;
  }
}

TEST_CASE(
    "kernel time: on every platform it grows with the shape, decoding is bound by memory, prefill by "
    "arithmetic") {
  for (const std::string& name : platform_names()) {
    CAPTURE(name);
    const Platform p = Platform::load(name);
    const DeviceId gpu = p.first(Device::Kind::gpu);
    // A library's kernels do not: a larger shape may get a better one.
    const bool measured = !p[gpu].curves[0].empty();
    Seconds before;
    for (std::int64_t m = 1; m <= 4096 && !measured; m *= 2) {
      CHECK(gemm(p, m, 4096, 4096) >= before);
      CHECK(gemm(p, m, 8192, 4096) >= gemm(p, m, 4096, 4096));
      CHECK(gemm(p, m, 4096, 8192) >= gemm(p, m, 4096, 4096));
      before = gemm(p, m, 4096, 4096);
    }
    const Seconds weights = Bytes{2 * 8192 * 8192} / p[p[gpu].memory].read;
    const Seconds arithmetic = Flops{2.0 * 4096 * 8192 * 8192} / p[gpu].peak.at(WeightFormat::bf16);
    CHECK(gemm(p, 1, 8192, 8192) / weights >= 1);
    CHECK(gemm(p, 1, 8192, 8192) / weights < 2);
    CHECK(gemm(p, 4096, 8192, 8192) / arithmetic >= 1);
    CHECK(gemm(p, 4096, 8192, 8192) / arithmetic < 2);
  }
}

TEST_CASE(
    "kernel time: small formats store weights only, fp8 is multiplied in fp8, the L2 cache speeds up what "
    "fits") {
  Platform p = test_platform();
  p.memories[2].read = {1e15};
  p.devices[1].peak = {
      {WeightFormat::bf16, {1e12}}, {WeightFormat::fp8, {2e12}}, {WeightFormat::int8, {4e12}}};
  // 2 x 1e8 operations
  CHECK(gemm(p, 100, 1000, 1000).value == specmoe::approx(200e-6));
  CHECK(gemm(p, 100, 1000, 1000, WeightFormat::int8).value == specmoe::approx(200e-6));
  CHECK(gemm(p, 100, 1000, 1000, WeightFormat::fp8).value == specmoe::approx(100e-6));
  p.memories[2].read = {1e9};
  p.devices[1].saturation[3].memory_efficiency = 2;
  p.devices[1].l2 = {10'000'000};
  const auto elementwise = [&](std::int64_t rows) {
    return kernel_time(p, kGpu, {Elementwise{rows, 1, 1, 0}}).value;
  };
  // 8 MB at 2 GB/s = 4 ms; 30 MB: 10 MB at 2 GB/s and 20 MB at 1 GB/s = 25 ms
  CHECK(elementwise(4'000'000) == specmoe::approx(4e-3));
  CHECK(elementwise(15'000'000) == specmoe::approx(25e-3));
}
