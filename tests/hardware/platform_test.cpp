#include "models/hardware/platform.hpp"

#include <doctest/doctest.h>

#include "models/hardware/kernel_price.hpp"
#include "sim/base/input_error.hpp"
#include "tests/machine/test_platform.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

const std::string kPlatform = R"(name: small
description: host, GPU and disk
memories:
  ram: {kind: host, capacity: {value: 64 GB, source: s}, reserved: {value: 0 B, source: s}, read: {value: 50 GB/s, source: s}, write: {value: 50 GB/s, source: s}}
  vram: {kind: device, capacity: {value: 24 GB, source: s}, reserved: {value: 1 GB, source: s, unverified: true}, read: {value: 1000 GB/s, source: s}, write: {value: 1000 GB/s, source: s}}
links:
  pcie:
    between: [ram, vram]
    duplex: {value: 30 GB/s, source: s}
    forward: {bandwidth: {value: 25 GB/s, source: measured}, latency: {value: 1 us, source: s}, half_size: {value: 50 kB, source: s}}
    backward: {bandwidth: {value: 20 GB/s, source: s}, latency: {value: 2 us, source: s}, half_size: {value: 30 kB, source: s}}
    pageable_forward: {bandwidth: {value: 5 GB/s, source: s}, latency: {value: 8 us, source: s}, half_size: {value: 70 kB, source: s}}
    pageable_backward: {bandwidth: {value: 4 GB/s, source: s}, latency: {value: 9 us, source: s}, half_size: {value: 80 kB, source: s}}
devices:
  cpu: {kind: cpu, memory: ram, peak: {bf16: {value: 1 TFLOP/s, source: s}}}
)";

std::string error_of(const std::string& from, const std::string& to) {
  std::string text = kPlatform;
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  return message_of([&] { Platform::read(Yaml::parse(text, "p.yaml")); });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("platform: a file becomes memories, links and devices, every number with its source") {
  const Platform p = Platform::read(Yaml::parse(kPlatform, "p.yaml"));
  CHECK(p.memories.size() == 2);
  CHECK(p[p.memory("vram")].capacity == Bytes{24'000'000'000});
  CHECK(p.links.at(0).forward.half_size == Bytes{50'000});
  CHECK(p.links.at(0).pageable_backward.latency == Seconds{9e-6});
  CHECK(p.provenance.size() == 2 * 4 + 13 + 1);
  CHECK(p.provenance.at(5).path == "memories.vram.reserved");
  CHECK(p.provenance.at(5).unverified);
  CHECK(p.provenance.at(8).path == "links.pcie.forward.bandwidth");
  CHECK(p.provenance.at(8).value == "25 GB/s");
  CHECK(p.provenance.at(8).source == "measured");
  CHECK_FALSE(p.provenance.at(8).unverified);
}

TEST_CASE("platform: an ideal copy takes the latency and its bytes at the size's share of the bandwidth") {
  const Platform p = Platform::read(Yaml::parse(kPlatform, "p.yaml"));
  const MemoryId ram = p.memory("ram"), vram = p.memory("vram");
  // 1 us + (25 MB + 50 kB) / 25 GB/s = 1 + 1002 us
  CHECK(p.ideal_copy_time(ram, vram, {25'000'000}).value == doctest::Approx(1003e-6).epsilon(1e-12));
  // back: 2 us + 25.03 MB / 20 GB/s = 2 + 1251.5 us
  CHECK(p.ideal_copy_time(vram, ram, {25'000'000}).value == doctest::Approx(1253.5e-6).epsilon(1e-12));
  // pageable: 8 us + 25.07 MB / 5 GB/s = 8 + 5014 us; back: 9 us + 25.08 MB / 4 GB/s = 9 + 6270 us
  CHECK(p.ideal_copy_time(ram, vram, {25'000'000}, HostMemory::pageable).value ==
        doctest::Approx(5022e-6).epsilon(1e-12));
  CHECK(p.ideal_copy_time(vram, ram, {25'000'000}, HostMemory::pageable).value ==
        doctest::Approx(6279e-6).epsilon(1e-12));
}

TEST_CASE("platform: a copy from a disk takes as long as the disk or the narrowest link of its route") {
  const Platform p = test_platform();
  // nvme -> ram -> switch -> vram0: 10 us + the longer of 80 MB / 5 GB/s (disk) and 80 MB / 8 GB/s = 0.01 + 16 ms
  CHECK(p.ideal_copy_time(kNvme, kVram, {80'000'000}).value == doctest::Approx(16.01e-3).epsilon(1e-12));
  const Route route = p.route(kNvme, kVram);
  REQUIRE(route.hops.size() == 3);
  CHECK(p.links[static_cast<std::size_t>(route.hops[0].link)].name == "m.2");
  CHECK(p.links[static_cast<std::size_t>(route.hops[1].link)].name == "pcie");
  CHECK(p.links[static_cast<std::size_t>(route.hops[2].link)].name == "slot0");
  CHECK(route.hops[0].forward);
}

TEST_CASE("platform: two GPUs behind a switch share its link to the host") {
  const Platform p = test_platform(2);
  CHECK(p.route(kRam, kVram).hops.front().link == p.route(kRam, kVram1).hops.front().link);
  CHECK_FALSE(p.route(kVram, kRam).hops.front().forward);
  CHECK(p.route(kVram, kVram1).hops.size() == 2);
}

TEST_CASE("platform: every device has power or none, and is never less busy than idle") {
  const auto with_power = [](const std::string& memory_bound, const std::string& compute_bound) {
    return "power: {idle: {value: 50 W, source: s}, memory_bound: {value: " + memory_bound +
           ", source: s}, compute_bound: {value: " + compute_bound + ", source: s}}, peak: {bf16:";
  };
  const auto error = [&](const std::string& memory_bound, const std::string& compute_bound) {
    return error_of("peak: {bf16:", with_power(memory_bound, compute_bound));
  };
  CHECK(contains(error("49 W", "60 W"), "cpu.power.memory_bound.value: \"49 W\"; expected at least idle"));
  CHECK(contains(error("60 W", "49 W"), "cpu.power.compute_bound.value: \"49 W\"; expected at least idle"));
  CHECK(contains(error("60", "70 W"), "expected a number with unit, e.g. \"450 W\""));
  const std::string other = "devices:\n  other: {kind: cpu, memory: ram, " + with_power("60 W", "70 W") +
                            " {value: 1 TFLOP/s, source: s}}}";
  CHECK(contains(error_of("devices:", other), "devices.cpu.power: missing"));

  std::string text = kPlatform;
  text.replace(text.find("peak: {bf16:"), 12, with_power("50 W", "70 W"));
  const Platform platform = Platform::read(Yaml::parse(text, "p.yaml"));
  CHECK(platform.has_power());
  CHECK(platform.devices[0].power->idle == Watts{50});
  CHECK(platform.devices[0].power->memory_bound == Watts{50});
  CHECK(platform.devices[0].power->compute_bound == Watts{70});
  CHECK_FALSE(Platform::read(Yaml::parse(kPlatform, "p.yaml")).has_power());
}

TEST_CASE("platform: memories and pinned directions may say what a byte takes, pageable ones not") {
  const std::string energy = ", energy: {value: 10 pJ/bit, source: s}}";
  std::string text = kPlatform;
  const std::string pinned = "half_size: {value: 50 kB, source: s}}",
                    ram = "write: {value: 50 GB/s, source: s}}";
  for (const std::string& end : {pinned, ram})
    text.replace(text.find(end), end.size(), end.substr(0, end.size() - 1) + energy);
  const Platform platform = Platform::read(Yaml::parse(text, "p.yaml"));
  CHECK(platform.links[0].forward.energy->value == doctest::Approx(80e-12).epsilon(1e-12));
  CHECK_FALSE(platform.links[0].backward.energy.has_value());
  CHECK(platform.memories[0].energy->value == doctest::Approx(80e-12).epsilon(1e-12));
  CHECK(contains(
      error_of("half_size: {value: 70 kB, source: s}}", "half_size: {value: 70 kB, source: s}" + energy),
      "pageable_forward.energy: unknown key"));
}

TEST_CASE("platform: memories that no link joins have no route, and the error names both") {
  Platform p = test_platform();
  p.links.clear();
  CHECK(contains(message_of([&] { p.route(kRam, kVram); }), "no route from ram to vram0"));
  CHECK(
      contains(message_of([&] { p.memory("rom"); }), "no memory \"rom\"; expected one of ram, nvme, vram0"));
}

TEST_CASE("platform: every fault of a file is one line that names file, line and what was expected") {
  CHECK(contains(error_of("25 GB/s, source: measured", "25, source: measured"),
                 "p.yaml:10: links.pcie.forward.bandwidth.value: \"25\"; expected a number with unit, e.g. "
                 "\"25 GB/s\""));
  CHECK(contains(error_of("value: 25 GB/s, source: measured", "value: 25 GB/s"),
                 "links.pcie.forward.bandwidth.source: missing"));
  CHECK(contains(error_of("25 GB/s, source: measured", "0 GB/s, source: measured"),
                 "links.pcie.forward.bandwidth.value: \"0 GB/s\""));
  CHECK(contains(error_of("25 GB/s, source: measured", "-25 GB/s, source: s"), "\"-25 GB/s\""));
  CHECK(contains(error_of("25 GB/s, source: measured", "25000000 GB/s, source: s"),
                 "expected 1e-06 to 1e+06 GB/s"));
  CHECK(contains(error_of("between: [ram, vram]", "between: [ram, varm]"), "expected one of ram, vram"));
  CHECK(contains(error_of("between: [ram, vram]", "between: [ram, ram]"), "expected two different nodes"));
  CHECK(contains(error_of("duplex: {value: 30", "duplex: {value: 50"),
                 "links.pcie.duplex.value: \"50 GB/s\"; expected from the faster"));
  CHECK(contains(error_of("duplex: {value: 30", "duplex: {value: 24"),
                 "expected from the faster direction's bandwidth"));
  CHECK(contains(error_of("latency:", "latencyy:"),
                 "links.pcie.forward.latencyy: unknown key; expected \"latency\""));
  CHECK(contains(error_of("latency: {value: 1 us, source: s}, ", ""), "links.pcie.forward.latency: missing"));
  CHECK(contains(error_of("  vram: {kind: device", "  ram: {kind: device"), "duplicate key \"ram\""));
  CHECK(contains(error_of("kind: device", "kind: gpu"), "expected one of host, device, unified, disk"));
  CHECK(contains(error_of("memory: ram", "memory: vram"), "expected a host or unified memory"));
  CHECK(contains(error_of("reserved: {value: 1 GB", "reserved: {value: 25 GB"),
                 "memories.vram.reserved.value"));
  CHECK(
      contains(error_of("{kind: cpu, memory", "{kind: gpu, memory"), "expected a device or unified memory"));
  CHECK(contains(error_of("links:", "switches: [ram]\nlinks:"), "expected a name that no other node has"));
  CHECK(contains(error_of("peak: {bf16:", "peak: {int8:"), "devices.cpu.peak.bf16: missing"));
}

TEST_CASE("platforms: all that ship load, with the known figures") {
  struct Known {
    const char* name;
    double memory_gb, bandwidth_gb_s, bf16_tflops, link_gb_s;
  };
  std::size_t known_figures = 0;
  for (const Known& known : {Known{"rtx4090", 25.770, 1008, 165.2, 26},
                             {"a100_sxm_80gb", 85.899, 2039, 312, 25.5},
                             // measured: peaks at the clocks that the driver tells, and the link as it was
                             {"h100_sxm_80gb", 85.017, 3352.3, 1071, 54.7},
                             {"h200_sxm", 150.110, 4814.3, 1071, 55.3},
                             {"jetson_agx_orin_32gb", 32, 204.8, 27, 7.9},
                             {"jetson_agx_orin_64gb", 64, 204.8, 42.5, 7.9},
                             {"a100_pcie_80gb", 85.899, 1935, 312, 25.5},
                             {"h100_pcie_80gb", 85.899, 2039, 756, 55},
                             {"rtx5090", 32, 1792, 209.5, 56.3},
                             {"b200_sxm", 193.274, 7700, 2250, 55},
                             {"gb200", 186, 8000, 2500, 211},
                             {"gh200", 96, 4000, 1071, 318},
                             {"mi300x", 192, 5300, 1307.4, 55},
                             {"l40s", 48, 864, 362.05, 25.2},
                             // 122570 MiB
                             {"dgx_spark_gb10", 128.524, 273, 125, 7.9},
                             {"apple_m3_ultra", 512, 819.2, 28.6, 7.9},
                             {"rtx3090", 25.447, 936, 71.2, 26},
                             {"rtx3060_12gb", 12.884, 360, 25.5, 26},
                             {"t4", 15.844, 320, 65, 12},
                             {"rtx3080_mobile_16gb", 17.180, 448, 38, 26}}) {
    CAPTURE(known.name);
    const Platform p = Platform::load(known.name);
    CHECK(p.name == known.name);
    const Device& gpu = p[p.first(Device::Kind::gpu)];
    CHECK(static_cast<double>(p[gpu.memory].capacity.count) * 1e-9 ==
          doctest::Approx(known.memory_gb).epsilon(1e-4));
    CHECK(p[gpu.memory].read.value == doctest::Approx(known.bandwidth_gb_s * 1e9).epsilon(1e-4));
    CHECK(gpu.peak.at(WeightFormat::bf16).value == doctest::Approx(known.bf16_tflops * 1e12));
    // The experts' way in exists: its last link is that from host memory, or with one memory that from the disk.
    const Route route = p.route(p.memory("nvme"), gpu.memory);
    REQUIRE_FALSE(route.hops.empty());
    CHECK(p.links[static_cast<std::size_t>(route.hops.back().link)].forward.bandwidth.value ==
          doctest::Approx(known.link_gb_s * 1e9).epsilon(0.01));
    ++known_figures;
    for (const Provenance& number : p.provenance) CHECK_FALSE(number.source.empty());
  }
  CHECK(platform_names().size() >= known_figures);  // a user may have more
  CHECK(contains(message_of([] { Platform::load("rtx9090"); }),
                 "platform \"rtx9090\" is unknown; expected a file or one of a100_pcie_80gb, a100_sxm_80gb"));
}

TEST_CASE("platform: a CPU computes only where the file says what its kernels take, all of it or nothing") {
  CHECK_FALSE(Platform::read(Yaml::parse(kPlatform, "p.yaml")).devices[0].computes());
  const std::string kernel =
      "floor: {value: 5 us, source: s}, memory_efficiency: {value: 0.6, source: s}, half_bytes: {value: 0 B, "
      "source: s}, "
      "compute_efficiency: {value: 0.5, source: s}, tile_rows: {value: 1, source: s}";
  const std::string calls =
      ", host_calls: {launch: {value: 1 us, source: s}, record: {value: 2 us, source: s}, wait: {value: 3 "
      "us, source: s},"
      " synchronize: {value: 4 us, source: s}}";
  const std::string kernels = ", kernels: {gemm: {" + kernel + "}, elementwise: {" + kernel + "}}";
  const auto with = [&](const std::string& more) {
    std::string text = kPlatform;
    return text.insert(text.find("source: s}}}\n") + std::string("source: s}}").size(), more);
  };
  const Platform whole = Platform::read(Yaml::parse(with(calls + kernels), "p.yaml"));
  CHECK(whole.devices[0].computes());
  CHECK(whole.devices[0].host_calls.wait == Seconds{3e-6});
  // 2 x 4096 x 4096 B and 2 x 2 x 4096 B at 0.6 x 50 GB/s
  CHECK(kernel_time(whole, {0}, {Gemm{1, 4096, 4096}}).value ==
        doctest::Approx((33'554'432 + 16'384) / 30e9));
  const auto error = [&](const std::string& more) {
    return message_of([&] { Platform::read(Yaml::parse(with(more), "p.yaml")); });
  };
  CHECK(contains(error(calls), "devices.cpu.kernels: missing"));
  CHECK(contains(error(kernels), "devices.cpu.host_calls: missing"));
  CHECK(contains(error(calls + ", kernels: {elementwise: {" + kernel + "}}"),
                 "devices.cpu.kernels.gemm: missing"));
  CHECK(contains(error(calls + ", l2: {value: 1 MB, source: s}"), "devices.cpu.l2: unknown key"));
}
