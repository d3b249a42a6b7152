// Measured curves over the roofline, on the machine of test_platform.hpp.
#include "models/hardware/kernel_price.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/random.hpp"
#include "tests/machine/test_platform.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

doctest::Approx exactly(double value) { return doctest::Approx(value).epsilon(1e-12).scale(0); }

Device with_gemm(std::vector<Curve> curves) {
  Device device = test_platform()[kGpu];
  device.curves[0] = std::move(curves);
  return device;
}

Curve gemm_curve(double n, double k, std::vector<double> along, std::vector<double> ratio,
                 WeightFormat format = WeightFormat::bf16) {
  return {{n, k}, format, std::move(along), std::move(ratio)};
}

double gemm(const Device& device, std::int64_t m, std::int64_t n, std::int64_t k,
            WeightFormat format = WeightFormat::bf16) {
  return correction(device, {Gemm{m, n, k, format}});
}

}  // namespace

TEST_CASE("kernel price: each class has its shape and the coordinate along it") {
  struct Expected {
    Kernel kernel;
    std::array<double, 5> shape;
    double along;
    WeightFormat format;
  };
  for (
      const auto& [kernel, shape, along, format] :
      {Expected{{Gemm{7, 20, 30, WeightFormat::fp8}}, {20, 30}, 7, WeightFormat::fp8},
       Expected{{GroupedGemm{12, 8, 20, 30, WeightFormat::int4}}, {160, 20, 30}, 1.5, WeightFormat::int4},
       // one query a sequence: a block for each kv head of each sequence
       Expected{{Attention{2, 2, 100, 100, 32, 4, 128}}, {128, 8, 0}, 50, WeightFormat::bf16},
       // 40 queries behind 60 positions: three tiles of 16 queries, which see 76, 92 and 100 positions: 5, 6 and 7
       // tiles, 6 in the mean
       Expected{{Attention{2, 80, 200, 6440, 32, 4, 128}}, {128, 192, 96.0 / 112}, 112, WeightFormat::bf16},
       // an encoder's see all 100: three times 7 tiles
       Expected{{Attention{1, 40, 100, 4000, 32, 32, 64}}, {64, 96, 1}, 112, WeightFormat::bf16},
       Expected{{Elementwise{5, 64, 2, 1}}, {2, 1}, 960, WeightFormat::bf16},
       Expected{{TopK{9, 128, 8}}, {128, 8}, 9, WeightFormat::bf16}}) {
    const ShapePoint point = shape_point(kernel, 16);
    CHECK(point.shape == shape);
    CHECK(point.dimensions == kShapeDimensions[kernel.work.index()]);
    CHECK(point.along == along);
    CHECK(point.format == format);
  }
}

TEST_CASE("kernel price: without curves, or with none of the format, the roofline stands") {
  CHECK(gemm(with_gemm({}), 1, 64, 64) == 1);
  const Device device = with_gemm({gemm_curve(64, 64, {1}, {2}, WeightFormat::fp8)});
  CHECK(gemm(device, 1, 64, 64) == 1);
  CHECK(gemm(device, 1, 64, 64, WeightFormat::fp8) == exactly(2));
  CHECK(correction(device, {TopK{1, 64, 64}}) == 1);  // another class
}

TEST_CASE(
    "kernel price: a curve of the kernel's shape decides alone, between its points by their logarithms") {
  const Device device =
      with_gemm({gemm_curve(64, 32, {4, 64, 256}, {4, 1, 0.5}), gemm_curve(64, 33, {1}, {9})});
  CHECK(gemm(device, 4, 64, 32) == exactly(4));
  CHECK(gemm(device, 64, 64, 32) == exactly(1));
  // 16 is half of the way from 4 to 64: the geometric mean of 4 and 1; 128 from 64 to 256: of 1 and 1/2
  CHECK(gemm(device, 16, 64, 32) == exactly(2));
  CHECK(gemm(device, 128, 64, 32) == exactly(std::sqrt(0.5)));
}

TEST_CASE("kernel price: beyond its ends a curve is constant") {
  const Device device = with_gemm({gemm_curve(64, 32, {4, 64}, {4, 1.5})});
  CHECK(gemm(device, 0, 64, 32) == exactly(4));
  CHECK(gemm(device, 1, 64, 32) == exactly(4));
  CHECK(gemm(device, 100'000, 64, 32) == exactly(1.5));
}

TEST_CASE(
    "kernel price: other shapes count with 1 / distance^4, and the roofline as one that is 64 times away") {
  // Twice and half as large: d = ln 2 = L; the roofline's D = 6 L. The plane passes through the middle:
  // ln(result) = (ln 4 + ln 1) / 2 * 2 / (2 + 1 / 6^4)
  const Device device = with_gemm({gemm_curve(128, 64, {1}, {4}), gemm_curve(32, 64, {1}, {1})});
  CHECK(gemm(device, 1, 64, 64) == exactly(std::exp(std::log(4) / (2 + 1.0 / 1296))));
  // Both dimensions twice as large: d^2 = 2 (ln 2)^2: ln 4 / (1 + 4 / 1296)
  const Device diagonal = with_gemm({gemm_curve(128, 128, {1}, {4})});
  CHECK(gemm(diagonal, 1, 64, 64) == exactly(std::exp(std::log(4) / (1 + 4.0 / 1296))));
}

TEST_CASE("kernel price: what changes from one shape to the next is carried on, within what was measured") {
  // x = L with 2 L, and x = -2 L with 0, of weights 1 and 1/16, in all 17/16. In units of L:
  // mean x 14/17, mean value 32/17, variance 20/17 - (14/17)^2 = 144/289, ridge a tenth of 20/17 = 34/289,
  // covariance 32/17 - 14/17 * 32/17 = 96/289, slope 96/178; at x = 0: 32/17 - 96/178 * 14/17
  const Device between = with_gemm({gemm_curve(128, 64, {1}, {4}), gemm_curve(16, 64, {1}, {1})});
  const double share = (17.0 / 16) / (17.0 / 16 + 1.0 / 1296), unit = std::log(2.0);
  CHECK(gemm(between, 1, 64, 64) == exactly(std::exp((32 - 96.0 / 178 * 14) / 17 * unit * share)));
  // x = L with L, x = 2 L with 2 L: mean x and value 18/17, slope 16/50: 0.72 L at x = 0, less than the least
  const Device beyond = with_gemm({gemm_curve(128, 64, {1}, {2}), gemm_curve(256, 64, {1}, {4})});
  CHECK(gemm(beyond, 1, 64, 64) == exactly(std::exp(unit * share)));
}

TEST_CASE("kernel price: far from every curve the roofline stands") {
  const Device device = with_gemm({gemm_curve(1 << 20, 64, {1}, {4})});
  // 64 times away: as near as the roofline, so half of ln 4
  CHECK(gemm(device, 1, 1 << 14, 64) == exactly(2));
  // 2^20 away: ln 4 / (1 + (20 / 6)^4)
  CHECK(gemm(device, 1, 1, 64) == exactly(std::exp(std::log(4) / (1 + std::pow(20.0 / 6, 4)))));
  // Where one has no writes and the other has, there is no factor between them.
  Device other = test_platform()[kGpu];
  other.curves[3] = {{{1, 1}, WeightFormat::bf16, {1}, {4}}};
  CHECK(correction(other, {Elementwise{1, 64, 1, 0}}) == 1);
  other.curves[3].front().shape = {1, 0};
  CHECK(correction(other, {Elementwise{1, 64, 1, 0}}) == exactly(4));
}

TEST_CASE("kernel price: a kernel takes its roofline's time times the correction, and longer beside copies") {
  Platform p = test_platform();
  Device& gpu = p.devices[1];
  gpu.peak[WeightFormat::bf16] = {1e9};
  gpu.curves[0] = {gemm_curve(1000, 1000, {1, 100}, {1.5, 2})};
  gpu.copy_slowdown_memory = 0.5;
  gpu.copy_slowdown_compute = 0.25;
  // arithmetic: 2 x 1e8 / 1e9 = 200 ms, more than 2.4 MB / 2 GB/s = 1.2 ms
  CHECK(roofline_time(p, kGpu, {Gemm{100, 1000, 1000}}).value == exactly(0.2));
  CHECK(kernel_time(p, kGpu, {Gemm{100, 1000, 1000}}).value == exactly(0.4));
  CHECK(kernel_price(p, kGpu, {Gemm{100, 1000, 1000}}).beside_copies.value == exactly(0.5));
  CHECK(kernel_price(p, kGpu, kernel(1000)).alone.value == exactly(1e-6));
  CHECK(kernel_price(p, kGpu, kernel(1000)).beside_copies.value == exactly(1.5e-6));
  gpu.saturation[0].floor = {1};  // a kernel at its floor counts as bound by memory
  CHECK(kernel_price(p, kGpu, {Gemm{100, 1000, 1000}}).beside_copies.value == exactly(3));
}

TEST_CASE("kernel price: attention's blocks take turns on the multiprocessors, each at its own cost") {
  Platform p = test_platform();
  Device& gpu = p.devices[1];
  p.memories[static_cast<std::size_t>(gpu.memory.index)].read = {1e18};
  gpu.peak[WeightFormat::bf16] = {1e15};
  gpu.multiprocessors = 4;
  Saturation& s = gpu.saturation[2];
  s.tile_rows = 16;
  s.start = {1e-6};
  s.block = {2e-6};
  s.serial = {1e-8};
  s.resident = 2;
  // 24 blocks, 4 x 2 x 128 / 64 = 16 at a time: 1 us + 2 x 2 us; 3 us where no one knows how many at a time
  const Kernel decode{Attention{12, 12, 120, 120, 4, 2, 64}};
  CHECK(roofline_time(p, kGpu, decode).value == exactly(5e-6));
  gpu.multiprocessors = 0;
  CHECK(roofline_time(p, kGpu, decode).value == exactly(3e-6));
  gpu.multiprocessors = 4;
  // three tiles of queries, the last of which walks over 7 x 16 positions: 1 us + 2 us + 112 x 10 ns
  const Kernel prefill{Attention{1, 40, 100, 3220, 2, 1, 64}};
  CHECK(roofline_time(p, kGpu, prefill).value == exactly(4.12e-6));
  // 6 blocks x 16 queries x (96 + 2 us / 10 ns) positions, two blocks on some of 4: x 8 / 6. 4 x 64 operations each
  gpu.peak[WeightFormat::bf16] = {1e12};
  CHECK(roofline_time(p, kGpu, prefill).value == exactly(1e-6 + 6 * 16 * 296 * 8.0 / 6 * 256 / 1e12));
  // none of it: 4 x 3220 x 2 x 64 operations
  s = {{0}, 1, {0}, 1, 1};
  gpu.multiprocessors = 0;
  CHECK(roofline_time(p, kGpu, prefill).value == exactly(4 * 3220 * 2 * 64 / 1e12));
}

TEST_CASE("kernel price: top-k walks over a row once for each rank") {
  Platform p = test_platform();
  Saturation& s = p.devices[1].saturation[4];
  s.start = {1e-6};
  s.block = {20e-6};
  s.serial = {1e-8};
  // 1 us + 2 x (20 us + 1000 x 10 ns), more than 2 KB / 2 GB/s
  CHECK(roofline_time(p, kGpu, {TopK{1, 1000, 2}}).value == exactly(61e-6));
}

TEST_CASE("kernel price: a price that is known is the price computed anew, also after many others") {
  Platform p = test_platform();
  p.devices[1].curves[0] = {gemm_curve(8, 8, {1, 64}, {0.5, 2})};
  KernelPrices prices(p, kGpu);
  Random random(1);
  const auto some = [&] { return static_cast<std::int64_t>(1 + random.below(6)); };
  for (int i = 0; i < 20'000; ++i) {
    const auto format = random.chance(0.5) ? WeightFormat::bf16 : WeightFormat::int4;
    const Kernel kernels[] = {{Gemm{some(), some(), some(), format}},
                              {GroupedGemm{some(), some(), some(), some(), format}},
                              {Attention{some(), some(), some(), some(), some(), some(), some()}},
                              {Elementwise{some(), some(), some(), some()}},
                              {TopK{some(), some(), some()}}};
    for (const Kernel& each : kernels) CHECK(prices.time(each) == kernel_time(p, kGpu, each));
  }
  for (std::int64_t n = 1; n <= 250'000; ++n) prices.time(kernel(n));
  CHECK(prices.time(kernel(7)) == kernel_time(p, kGpu, kernel(7)));
}

namespace {

// The RTX 4090 with `text` among the keys of its GEMM.
Platform with_text(const std::string& text) {
  std::string file = Yaml::load(home() / "platforms" / "rtx4090.yaml").source_text();
  const std::string gemm = "\n      gemm:\n";
  file.insert(file.find(gemm) + gemm.size(), text);
  return Platform::read(Yaml::parse(file, "p.yaml"));
}

std::string error_of(const std::string& text) {
  return message_of([&] { with_text("        measured:\n" + text); });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("kernel price: a platform file's measured curves and dispatch are read, each with its source") {
  const Platform p = with_text(
      "        dispatch: {value: 1.5 us, source: timed}\n"
      "        measured:\n"
      "          source: measurements/x.h5\n"
      "          unverified: true\n"
      "          along: [1, 8]\n"
      "          shapes:\n"
      "            - {shape: [2816, 2048], ratio: [1.5, 1.25]}\n"
      "            - {shape: [128, 64], format: fp8, along: [2, 4, 8], ratio: [1, 2, 3], dispatch_us: [5, 3, "
      "2]}\n");
  const Device& gpu = p[p.first(Device::Kind::gpu)];
  CHECK(gpu.saturation[0].dispatch == Seconds{1.5e-6});
  CHECK(launch_call(gpu, {Gemm{1, 1, 1}}).value == exactly(gpu.host_calls.launch.value + 1.5e-6));
  CHECK(gpu.curves[1].empty());
  REQUIRE(gpu.curves[0].size() == 2);
  const Curve &common = gpu.curves[0][0], &own = gpu.curves[0][1];
  CHECK(common.shape == std::array<double, 5>{2816, 2048});
  CHECK(common.format == WeightFormat::bf16);
  CHECK(common.along == std::vector<double>{1, 8});
  CHECK(common.ratio == std::vector<double>{1.5, 1.25});
  CHECK(own.format == WeightFormat::fp8);
  CHECK(own.along == std::vector<double>{2, 4, 8});
  CHECK(own.ratio == std::vector<double>{1, 2, 3});
  CHECK(common.dispatch.empty());
  // A shape's own dispatch, linear in ln(m) from 3 us at 4 rows to 2 us at 8; other shapes have the class's.
  const auto launch = [&](const Gemm& gemm) {
    return (launch_call(gpu, {gemm}) - gpu.host_calls.work - gpu.host_calls.launch).value;
  };
  CHECK(launch({1, 128, 64, WeightFormat::fp8}) == exactly(5e-6));
  CHECK(launch({4, 128, 64, WeightFormat::fp8}) == exactly(3e-6));
  CHECK(launch({100, 128, 64, WeightFormat::fp8}) == exactly(2e-6));
  CHECK(launch({6, 128, 64, WeightFormat::fp8}) == exactly((3 - std::log2(6.0 / 4)) * 1e-6));
  CHECK(launch({4, 128, 64, WeightFormat::bf16}) == exactly(1.5e-6));
  CHECK(launch({4, 2816, 2048}) == exactly(1.5e-6));
  std::size_t entries = 0;
  for (const Provenance& number : p.provenance)
    if (number.path == "devices.gpu.kernels.gemm.measured") {
      ++entries;
      CHECK(number.value == "2 curves");
      CHECK(number.source == "measurements/x.h5");
      CHECK(number.unverified);
    }
  CHECK(entries == 1);
}

TEST_CASE("kernel price: what starting and walking cost is optional, and of the classes that walk") {
  const auto with = [](const std::string& kernel_class, const std::string& text) {
    std::string file = Yaml::load(home() / "platforms" / "rtx4090.yaml").source_text();
    const std::string place = "\n      " + kernel_class + ":\n";
    file.insert(file.find(place) + place.size(), text);
    return Platform::read(Yaml::parse(file, "p.yaml"));
  };
  const std::string walk =
                        "        start: {value: 1 us, source: s}\n"
                        "        block: {value: 2 us, source: s}\n"
                        "        serial: {value: 3 ns, source: s}\n",
                    resident = "        resident: {value: 4, source: s}\n";
  const Platform p = with("attention", walk + resident);
  const Device& gpu = p[p.first(Device::Kind::gpu)];
  CHECK(gpu.multiprocessors == 0);
  CHECK(gpu.saturation[2].start.value == exactly(1e-6));
  CHECK(gpu.saturation[2].block.value == exactly(2e-6));
  CHECK(gpu.saturation[2].serial.value == exactly(3e-9));
  CHECK(gpu.saturation[2].resident == 4);
  CHECK(gpu.saturation[4].start == Seconds{0});
  CHECK(gpu.saturation[4].resident == 1);
  CHECK(with("top_k", walk).devices[0].saturation[4].block.value == exactly(2e-6));
  CHECK(contains(message_of([&] { with("top_k", resident); }), "resident"));
  CHECK(contains(message_of([&] { with("gemm", walk); }), "block"));
}

TEST_CASE("kernel price: every fault of a measured curve is one line that names it") {
  const std::string head = "          source: s\n          along: [1, 8]\n          shapes:\n            - ";
  CHECK(contains(error_of(head + "{shape: [1, 2], ratio: [1, 2, 3]}\n"),
                 "measured.shapes[0].ratio: a list; expected 2 numbers, one for each of along"));
  CHECK(error_of(head + "{shape: [1, 2], ratio: [1, 2, 3]}\n").rfind("p.yaml:", 0) == 0);
  CHECK(
      contains(error_of(head + "{shape: [1, 2, 3], ratio: [1, 2]}\n"), "shape: a list; expected 2 numbers"));
  CHECK(contains(error_of(head + "{shape: [1, 2], ratio: [1, 0.001]}\n"), "ratio[1]: \"0.001\"; expected"));
  CHECK(contains(error_of(head + "{shape: [1, 2], along: [8, 1], ratio: [1, 2]}\n"), "ascending numbers"));
  CHECK(contains(error_of(head + "{shape: [1, 2], along: [0, 1], ratio: [1, 2]}\n"), "along[0]: \"0\""));
  CHECK(
      contains(error_of(head + "{shape: [1, 2], format: bf17, ratio: [1, 2]}\n"), "did you mean \"bf16\"?"));
  CHECK(contains(error_of("          along: [1]\n          shapes: []\n"), "measured.source: missing"));
  CHECK(contains(error_of("          source: s\n          shapes: [{shape: [1, 2], ratio: [1]}]\n"),
                 "measured.along: missing"));
}

TEST_CASE("platform: a device's event latency, slow-down by copies and own work are optional") {
  const Platform p = with_text("");
  const Device& without = p[p.first(Device::Kind::gpu)];
  CHECK(without.event_latency == Seconds{0});
  CHECK(without.copy_slowdown_memory == 0);
  CHECK(without.host_calls.work == Seconds{0});
  std::string file = Yaml::load(home() / "platforms" / "rtx4090.yaml").source_text();
  const std::string calls = "    host_calls:\n";
  file.replace(
      file.find(calls), calls.size(),
      "    event_latency: {value: 3 us, source: s}\n"
      "    copy_slowdown: {memory_bound: {value: 0.2, source: s}, compute_bound: {value: 0.1, source: s}}\n"
      "    host_calls:\n"
      "      work: {value: 0.7 us, source: s}\n");
  const Platform q = Platform::read(Yaml::parse(file, "p.yaml"));
  const Device& with = q[q.first(Device::Kind::gpu)];
  CHECK(with.event_latency.value == exactly(3e-6));
  CHECK(with.copy_slowdown_memory == 0.2);
  CHECK(with.copy_slowdown_compute == 0.1);
  CHECK(with.host_calls.work.value == exactly(0.7e-6));
  CHECK(q.provenance.size() == p.provenance.size() + 4);
}
