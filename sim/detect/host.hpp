// What the operating system tells of a machine. Everything is read below one root, so that tests bring their own.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/units.hpp"
#include "sim/detect/nvml.hpp"

namespace specmoe {

/// Where a machine is read from.
struct Host {
  std::filesystem::path root = "/";
  const Nvml* nvml = nullptr;
  /// What a command prints; nothing where it cannot be run.
  std::function<std::optional<std::string>(const std::string& command)> run{};

  /// This machine.
  static Host here();
  /// The first line of a file without what ends it, e.g. of "proc/device-tree/model"; nothing where it cannot be read.
  std::optional<std::string> line(const std::filesystem::path& file) const;
  /// Names in a folder, sorted; none where there is no such folder.
  std::vector<std::string> names(const std::filesystem::path& folder) const;
};

/// A PCIe link as it stands in /sys or as the driver tells it.
struct PcieLink {
  int generation = 0, lanes = 0;
  std::string source;  // "read: ..."
};
/// One direction of a link by its generation, after encoding: 31.5 GB/s of 16 lanes of PCIe 4.
BytesPerSecond raw_bandwidth(const PcieLink& link);
/// Of a folder in /sys/bus/pci/devices. @param speed_file current_link_speed, or max_link_speed of a device that slows
/// down while it has nothing to do.
std::optional<PcieLink> read_pcie_link(const Host& host, const std::filesystem::path& device,
                                       const char* speed_file);

/// A block device that experts can be read from.
struct Disk {
  std::string name;
  Bytes capacity;
  enum class Kind { nvme, ssd, rotating, virtual_disk } kind;
  std::optional<PcieLink> link;  // of an NVMe drive
};

/// The processors of a machine, as /proc/cpuinfo tells.
struct Cpu {
  std::string model;           // "AMD Ryzen 9 7950X 16-Core Processor"
  int sockets = 1, cores = 1;  // cores of all sockets
  double ghz = 0;
  std::string ghz_source;
  enum class Vectors { none, neon, avx, avx2, avx512 } vectors = Vectors::none;
};

/// The memory channels of one socket.
struct Channels {
  int count;
  double mt_per_s;     // of one channel, 8 bytes a transfer
  std::string source;  // "read: ..." or "by the class of the processor: ..."
};

/// A machine without its GPU.
struct HostFacts {
  Cpu cpu;
  Bytes memory;
  Channels channels;
  int numa_nodes = 1;
  /// The one that experts would be read from: the largest NVMe drive, else the largest other.
  std::optional<Disk> disk;
  /// What a Jetson calls itself; empty on other machines.
  std::string jetson;
};

/// @throws InputError where /proc cannot be read
HostFacts read_host(const Host& host);

}  // namespace specmoe
