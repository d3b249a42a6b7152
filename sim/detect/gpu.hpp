// What the driver, nvidia-smi or the PCI bus tells of a GPU, and which platform has it or one that is near.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sim/detect/host.hpp"

namespace specmoe {

/// A number and by what it was read: "read: NVML nvmlDeviceGetMemoryInfo".
template <class T>
struct Read {
  T value;
  std::string source;
};

/// What is known of a GPU; the more, the better its source.
struct GpuFacts {
  int count = 1, index = 0;
  /// As the driver has it, "NVIDIA GeForce RTX 4090"; empty where only the bus tells that there is one.
  std::string name;
  std::string by;  // "NVML", "nvidia-smi" or "the PCI bus"
  std::optional<Read<Bytes>> memory{};
  std::optional<Read<BytesPerSecond>> bandwidth{};
  std::optional<Read<int>> multiprocessors{};
  std::optional<Read<double>> power_limit{};  // W
  std::optional<PcieLink> link{};
  int sm_mhz = 0;        // at most; 0 where not known
  int capability = 0;    // 89 of 8.9; 0 where not known
  std::string pci_id{};  // 0x2684
};

/// By NVML, else by nvidia-smi, else by what the PCI bus shows.
/// @return nothing where there is no GPU of NVIDIA's @throws InputError if there are fewer than `index` + 1
std::optional<GpuFacts> read_gpu(const Host& host, int index);

/// A platform whose GPU the driver names.
struct KnownGpu {
  const char* platform;
  std::string_view name;  // as the driver has it, or all that its names begin with
  int capability;
  int multiprocessors;
};
std::span<const KnownGpu> known_gpus();

/// A known GPU for one that is here: the same, or the nearest.
struct Match {
  const KnownGpu* gpu;
  bool same;
};
/// The GPU with this name; else, among those of the nearest compute capability, a GeForce for a GeForce, and the nearest
/// in memory bandwidth, or where that is not known in multiprocessors.
std::optional<Match> match(const GpuFacts& gpu);

}  // namespace specmoe
