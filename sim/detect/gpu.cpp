#include "sim/detect/gpu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <tuple>
#include <vector>

#include "models/hardware/platform.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

namespace fs = std::filesystem;

// deviceQuery's table of CUDA cores a multiprocessor.
int cores_per_multiprocessor(int capability) {
  switch (capability) {
    case 60:
    case 70:
    case 72:
    case 75:
    case 80:
      return 64;
    default:
      return 128;
  }
}

void check_index(int index, int count) {
  if (index >= count)
    throw InputError("--index", 0, fmt::format("{}", index),
                     fmt::format("less than {}, the number of GPUs here", count));
}

// One value of NVML; nothing where the driver lacks the function or the device does not tell.
template <class T>
std::optional<T> ask(int (*function)(Nvml::Device, T*), Nvml::Device device) {
  T value{};
  if (!function || function(device, &value) != 0) return std::nullopt;
  return value;
}

std::optional<GpuFacts> read_nvml(const Nvml& nvml, int index) {
  unsigned count = 0;
  if (!nvml.init || !nvml.count || !nvml.by_index || !nvml.name || nvml.init() != 0 ||
      nvml.count(&count) != 0 || count == 0)
    return std::nullopt;
  GpuFacts gpu{static_cast<int>(count), index, "", "NVML"};
  check_index(index, gpu.count);
  Nvml::Device device = nullptr;
  std::array<char, 96> name{};  // NVML_DEVICE_NAME_V2_BUFFER_SIZE
  if (nvml.by_index(static_cast<unsigned>(index), &device) != 0 ||
      nvml.name(device, name.data(), static_cast<unsigned>(name.size())) != 0)
    return std::nullopt;
  gpu.name = name.data();
  if (const auto memory = ask(nvml.memory, device))
    gpu.memory = {{static_cast<std::int64_t>(memory->total)}, "read: NVML nvmlDeviceGetMemoryInfo"};
  const auto clock = [&](unsigned type) -> unsigned {  // 1 multiprocessors, 2 memory
    unsigned mhz = 0;
    return nvml.max_clock && nvml.max_clock(device, type, &mhz) == 0 ? mhz : 0;
  };
  gpu.sm_mhz = static_cast<int>(clock(1));
  if (const auto bits = ask(nvml.bus_width, device); bits && *bits && clock(2))
    gpu.bandwidth = {
        {*bits / 8.0 * clock(2) * 2e6},
        fmt::format("read: NVML nvmlDeviceGetMemoryBusWidth, {} bit, nvmlDeviceGetMaxClockInfo, {} MHz; "
                    "two transfers a clock",
                    *bits, clock(2))};
  int major = 0, minor = 0;
  if (nvml.capability && nvml.capability(device, &major, &minor) == 0) gpu.capability = major * 10 + minor;
  if (const auto cores = ask(nvml.cores, device); cores && gpu.capability) {
    const int each = cores_per_multiprocessor(gpu.capability);
    gpu.multiprocessors = {static_cast<int>(*cores) / each,
                           fmt::format("read: NVML nvmlDeviceGetNumGpuCores, {} a multiprocessor", each)};
  }
  const auto generation = ask(nvml.link_generation, device), lanes = ask(nvml.link_width, device);
  if (generation && lanes && *generation >= 1 && *generation <= 6 && *lanes >= 1 && *lanes <= 32)
    gpu.link = {static_cast<int>(*generation), static_cast<int>(*lanes),
                "read: NVML nvmlDeviceGetMaxPcieLinkGeneration, nvmlDeviceGetMaxPcieLinkWidth"};
  if (const auto milliwatts = ask(nvml.power_limit, device); milliwatts && *milliwatts)
    gpu.power_limit = {*milliwatts * 1e-3,
                       "read: NVML nvmlDeviceGetEnforcedPowerLimit; assumed to be reached"};
  return gpu;
}

// "[N/A]" and the like become 0.
std::optional<GpuFacts> read_smi(const Host& host, int index) {
  if (!host.run) return std::nullopt;
  const auto output = host.run(
      "nvidia-smi "
      "--query-gpu=name,memory.total,compute_cap,clocks.max.sm,pcie.link.gen.max,pcie.link.width.max,"
      "power.limit --format=csv,noheader,nounits");
  std::vector<std::vector<std::string>> gpus;
  std::istringstream lines(output.value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> fields;
    std::istringstream in(line);
    for (std::string field; std::getline(in >> std::ws, field, ',');) fields.push_back(field);
    if (fields.size() == 7) gpus.push_back(fields);
  }
  if (gpus.empty()) return std::nullopt;
  GpuFacts gpu{static_cast<int>(gpus.size()), index, "", "nvidia-smi"};
  check_index(index, gpu.count);
  const auto& fields = gpus[static_cast<std::size_t>(index)];
  const auto number = [&](std::size_t i) { return std::strtod(fields[i].c_str(), nullptr); };
  gpu.name = fields[0];
  if (number(1) > 0)
    gpu.memory = {{static_cast<std::int64_t>(number(1) * 1048576)}, "read: nvidia-smi memory.total"};
  gpu.capability = static_cast<int>(std::lround(number(2) * 10));
  gpu.sm_mhz = static_cast<int>(number(3));
  if (number(4) >= 1 && number(4) <= 6 && number(5) >= 1 && number(5) <= 32)
    gpu.link = {static_cast<int>(number(4)), static_cast<int>(number(5)),
                "read: nvidia-smi pcie.link.gen.max, pcie.link.width.max"};
  if (number(6) > 0) gpu.power_limit = {number(6), "read: nvidia-smi power.limit; assumed to be reached"};
  return gpu;
}

std::optional<GpuFacts> read_bus(const Host& host, int index) {
  std::vector<fs::path> found;
  for (const std::string& name : host.names("sys/bus/pci/devices")) {
    const fs::path device = fs::path("sys/bus/pci/devices") / name;
    // Class 0x03 is a display, as every GPU of NVIDIA's but for some of servers: 0x0302, too. Not its sound (0x04).
    if (host.line(device / "vendor") == "0x10de" &&
        host.line(device / "class").value_or("").starts_with("0x03"))
      found.push_back(device);
  }
  if (found.empty()) return std::nullopt;
  GpuFacts gpu{static_cast<int>(found.size()), index, "", "the PCI bus"};
  check_index(index, gpu.count);
  const fs::path& device = found[static_cast<std::size_t>(index)];
  gpu.pci_id = host.line(device / "device").value_or("");
  gpu.link = read_pcie_link(host, device, "max_link_speed");
  return gpu;
}

// Names in the order in which they are tried: longer ones before those that they begin with.
constexpr std::array<KnownGpu, 19> kKnown{{
    {"h100_pcie_80gb", "NVIDIA H100 PCIe", 90, 114},
    {"h100_sxm_80gb", "NVIDIA H100", 90, 132},
    {"h200_sxm", "NVIDIA H200", 90, 132},
    {"gh200", "NVIDIA GH200", 90, 132},
    {"b200_sxm", "NVIDIA B200", 100, 148},
    {"gb200", "NVIDIA GB200", 100, 148},
    {"a100_pcie_80gb", "NVIDIA A100 80GB PCIe", 80, 108},
    {"a100_pcie_80gb", "NVIDIA A100-PCIE", 80, 108},
    {"a100_sxm_80gb", "NVIDIA A100", 80, 108},
    {"rtx5090", "NVIDIA GeForce RTX 5090", 120, 170},
    {"rtx4090", "NVIDIA GeForce RTX 4090", 89, 128},
    {"l40s", "NVIDIA L40S", 89, 142},
    {"rtx3090", "NVIDIA GeForce RTX 3090", 86, 82},
    {"rtx3060_12gb", "NVIDIA GeForce RTX 3060", 86, 28},
    {"rtx3080_mobile_16gb", "NVIDIA GeForce RTX 3080 Laptop GPU", 86, 48},
    {"t4", "Tesla T4", 75, 40},
    {"dgx_spark_gb10", "NVIDIA GB10", 121, 48},
    {"jetson_agx_orin_64gb", "NVIDIA Jetson AGX Orin", 87, 16},
    {"jetson_agx_orin_32gb", "NVIDIA Jetson AGX Orin 32GB", 87, 14},
}};

// What stands behind a known name may tell the size or the form of the same card, but not another chip.
bool names(const KnownGpu& known, std::string_view name) {
  if (!name.starts_with(known.name)) return false;
  const std::string_view rest = name.substr(known.name.size());
  if (!rest.empty() && std::isalnum(static_cast<unsigned char>(rest.front()))) return false;
  for (const char* other : {"Ti", "SUPER", "Laptop", "Max-Q", " D", "NVL", "MIG"})
    if (rest.find(other) != rest.npos) return false;
  return true;
}

}  // namespace

std::optional<GpuFacts> read_gpu(const Host& host, int index) {
  if (host.nvml)
    if (auto gpu = read_nvml(*host.nvml, index)) return gpu;
  if (auto gpu = read_smi(host, index)) return gpu;
  return read_bus(host, index);
}

std::span<const KnownGpu> known_gpus() { return kKnown; }

std::optional<Match> match(const GpuFacts& gpu) {
  for (const KnownGpu& known : kKnown)
    if (names(known, gpu.name)) return Match{&known, true};
  if (gpu.capability == 0) return std::nullopt;
  const auto geforce = [](std::string_view name) { return name.find("GeForce") != name.npos; };
  std::optional<Match> best;
  std::tuple<int, bool, double> least;  // compared in this order
  for (const KnownGpu& known : kKnown) {
    double apart = 0;
    if (gpu.bandwidth) {
      const Platform platform = Platform::load(known.platform);
      const double bandwidth = platform[platform[platform.first(Device::Kind::gpu)].memory].read.value;
      apart = std::abs(std::log(bandwidth / gpu.bandwidth->value.value));
    } else if (gpu.multiprocessors) {
      apart = std::abs(std::log(static_cast<double>(known.multiprocessors) / gpu.multiprocessors->value));
    }
    const std::tuple distance{std::abs(known.capability - gpu.capability),
                              geforce(known.name) != geforce(gpu.name), apart};
    if (best && !(distance < least)) continue;
    least = distance;
    best = Match{&known, false};
  }
  return best;
}

}  // namespace specmoe
