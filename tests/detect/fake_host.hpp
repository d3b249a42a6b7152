// Machines as trees of files and an NVML of plain values.
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "sim/detect/host.hpp"
#include "tests/temporary_folder.hpp"

namespace specmoe {

/// What a GPU's driver tells.
struct FakeGpu {
  const char* name;
  unsigned long long memory;
  unsigned sm_mhz, memory_mhz, bus_bits, cores;
  int major, minor;
  unsigned generation, lanes, milliwatts;
};

/// The functions of NVML over these GPUs. One list at a time, as there is one driver.
inline const Nvml* fake_nvml(std::vector<FakeGpu> list) {
  static std::vector<FakeGpu> gpus;
  gpus = std::move(list);
  static const auto of = [](Nvml::Device device) -> const FakeGpu& { return *static_cast<FakeGpu*>(device); };
  static const Nvml nvml{
      [] { return 0; },
      [](unsigned* count) { return *count = static_cast<unsigned>(gpus.size()), 0; },
      [](unsigned i, Nvml::Device* device) { return *device = &gpus.at(i), 0; },
      [](Nvml::Device d, char* name, unsigned length) { return std::strncpy(name, of(d).name, length), 0; },
      [](Nvml::Device d, Nvml::Memory* memory) {
        return *memory = {of(d).memory, of(d).memory, 0}, 0;
      },
      [](Nvml::Device d, unsigned type, unsigned* mhz) {
        return *mhz = type == 1 ? of(d).sm_mhz : of(d).memory_mhz, 0;
      },
      [](Nvml::Device d, unsigned* bits) { return *bits = of(d).bus_bits, 0; },
      [](Nvml::Device d, unsigned* cores) { return *cores = of(d).cores, 0; },
      [](Nvml::Device d, int* major, int* minor) { return *major = of(d).major, *minor = of(d).minor, 0; },
      [](Nvml::Device d, unsigned* generation) { return *generation = of(d).generation, 0; },
      [](Nvml::Device d, unsigned* lanes) { return *lanes = of(d).lanes, 0; },
      [](Nvml::Device d, unsigned* milliwatts) { return *milliwatts = of(d).milliwatts, 0; }};
  return &nvml;
}

inline const FakeGpu kH100{
    "NVIDIA H100 80GB HBM3", 85'520'809'984, 1980, 2619, 5120, 16896, 9, 0, 5, 16, 700'000};
inline const FakeGpu kRtx4090{
    "NVIDIA GeForce RTX 4090", 25'757'220'864, 3105, 10501, 384, 16384, 8, 9, 4, 16, 450'000};

/// A root with /proc and /sys in it.
class FakeHost : public TemporaryFolder {
 public:
  /// @param cpuinfo of one processor without its number; it is repeated.
  FakeHost(const std::string& cpuinfo, int processors, std::int64_t memory_kib) {
    std::string all;
    for (int i = 0; i < processors; ++i)
      all +=
          "processor\t: " + std::to_string(i) + "\n" + cpuinfo + "core id\t\t: " + std::to_string(i) + "\n\n";
    put("proc/cpuinfo", all);
    put("proc/meminfo", "MemTotal:       " + std::to_string(memory_kib) + " kB\nMemFree:        1 kB\n");
  }
  void put(const std::string& file, const std::string& content) const {
    std::filesystem::create_directories((*this / file).parent_path());
    write(file, content);
  }
  /// An NVMe drive of so many 512-byte sectors.
  void put_nvme(const std::string& sectors, const std::string& speed, const std::string& lanes) const {
    put("sys/block/nvme0n1/size", sectors + "\n");
    put("sys/class/nvme/nvme0/device/current_link_speed", speed + "\n");
    put("sys/class/nvme/nvme0/device/current_link_width", lanes + "\n");
  }
  Host host(const Nvml* nvml = nullptr) const { return {*this / "", nvml, {}}; }
};

inline const std::string kDesktop =
    "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 97\nmodel name\t: AMD Ryzen 9 7950X 16-Core "
    "Processor\ncpu MHz\t\t: 400.000\nphysical id\t: 0\nflags\t\t: fpu sse2 avx avx2\n";
inline const std::string kServer =
    "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9354 32-Core "
    "Processor\ncpu MHz\t\t: 3250.000\nphysical id\t: 0\nflags\t\t: fpu sse2 avx avx2 avx512f\n";

}  // namespace specmoe
