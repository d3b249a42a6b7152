// Machines with round numbers, filled by hand, for tests whose times are mental arithmetic.
#pragma once
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"

namespace specmoe::testing {

/// Host memory "ram", a CPU, and `gpus` GPUs "gpu0", "gpu1", ... with memories "vram0", ... behind a switch,
/// all on one PCIe link "pcie" of 25 GB/s each way (40 GB/s both ways together, 10 GB/s pageable, 10 us a
/// copy), and each on its own lossless link of 100 GB/s. A disk "nvme" of 5 GB/s reading and 2.5 GB/s writing
/// hangs on the ram by 8 GB/s and 0 s. Host calls: launch 4 us, copy 2 us, record and wait 0.5 us, synchronize 1 us.
inline Platform test_platform(int gpus = 1) {
  Platform platform;
  platform.name = "test";
  const BytesPerSecond ram{1e12};
  platform.memories = {{"ram", Memory::Kind::host, {1'000'000'000'000}, {0}, ram, ram},
                       {"nvme", Memory::Kind::disk, {1'000'000'000'000}, {0}, {5e9}, {2.5e9}}};
  platform.switches = {"switch"};
  const Direction pinned{{25e9}, {10e-6}, {0}}, pageable{{10e9}, {10e-6}, {0}}, m2{{8e9}, {0}, {0}},
      slot{{100e9}, {0}, {0}};
  platform.links = {{"pcie", "ram", "switch", pinned, pinned, pageable, pageable, {40e9}},
                    {"m.2", "nvme", "ram", m2, m2, m2, m2, {16e9}}};
  // An Elementwise of n rows, width 1 and one read moves 2 n bytes at 2 GB/s: n nanoseconds. See kernel().
  const Saturation exact{{0}, 1, {0}, 1, 1};
  const std::array<Saturation, 5> saturation{exact, exact, exact, exact, exact};
  const std::map<WeightFormat, FlopsPerSecond> peak{{WeightFormat::bf16, {1e18}}};
  const HostCalls calls{{4e-6}, {2e-6}, {0.5e-6}, {0.5e-6}, {1e-6}};
  platform.devices = {{"cpu", Device::Kind::cpu, {0}, peak, calls, saturation}};
  for (int gpu = 0; gpu < gpus; ++gpu) {
    const std::string number = std::to_string(gpu);
    platform.devices.push_back({"gpu" + number, Device::Kind::gpu, {2 + gpu}, peak, calls, saturation});
    platform.memories.push_back({"vram" + number, Memory::Kind::device, {80'000'000'000}, {0}, {2e9}, {2e9}});
    platform.links.push_back({"slot" + number, "switch", "vram" + number, slot, slot, slot, slot, {200e9}});
  }
  return platform;
}

constexpr MemoryId kRam{0}, kNvme{1}, kVram{2}, kVram1{3};
constexpr DeviceId kCpu{0}, kGpu{1}, kGpu1{2};

/// Takes `nanoseconds` on a GPU of the test platform.
inline Kernel kernel(std::int64_t nanoseconds, const char* name = "") {
  return {Elementwise{nanoseconds, 1, 1, 0}, name, -1, -1};
}

/// All four directions of a link.
inline std::array<Direction*, 4> directions(Link& link) {
  return {&link.forward, &link.backward, &link.pageable_forward, &link.pageable_backward};
}

inline void set_host_calls(Platform& platform, const HostCalls& calls) {
  for (Device& device : platform.devices) device.host_calls = calls;
}

}  // namespace specmoe::testing
