#include "sim/detect/detect.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/base/input_error.hpp"
#include "sim/detect/gpu.hpp"
#include "sim/detect/platform_text.hpp"

namespace specmoe {

namespace {

std::string bytes(Bytes b) { return fmt::format("{} B", b.count); }
std::string rate(double per_second) { return fmt::format("{:.4g} GB/s", per_second * 1e-9); }
std::string watts(double w) { return fmt::format("{:.4g} W", w); }

// A GPU's numbers and the platform that the rest comes from.
struct Base {
  Platform platform;
  std::optional<GpuFacts> gpu;
  bool same = true;  // the very GPU, and not the nearest

  const Device& device() const { return platform[platform.first(Device::Kind::gpu)]; }
  const Memory& memory() const { return platform[device().memory]; }
  bool unified() const { return memory().kind == Memory::Kind::unified; }
  const Memory& of_host() const { return platform[platform[platform.first(Device::Kind::cpu)].memory]; }
  const Link* link_at(const std::string& one, const std::string& other) const {
    for (const Link& link : platform.links)
      if ((link.a == one && link.b == other) || (link.a == other && link.b == one)) return &link;
    return nullptr;
  }
};

// Rates of pinned copies over 16 lanes that others measured; of the generations without, as much of the raw rate.
struct Pinned {
  double share;  // of the rate after encoding
  const char* source;
};
Pinned pinned(int generation) {
  if (generation <= 3) return {12 / 15.75, "12 GB/s over PCIe 3 x16 on a V100: ZaidQureshi/bam #54"};
  if (generation == 4) return {26 / 31.5, "26 GB/s over PCIe 4 x16: nvbandwidth #15"};
  return {55.2 / 63, "55.2 GB/s over PCIe 5 x16, published of an H100"};
}

// The card's link, where it is not as fast as the one of the base. Copies lose as much beside the wire as there.
void write_pcie(const Base& base, const PcieLink& link, PlatformText& out, std::vector<std::string>& notes) {
  const Link* pcie = base.link_at(base.of_host().name, base.memory().name);
  if (!pcie || !pcie->name.starts_with("pcie")) return;  // NVLink-C2C, or one memory
  const Pinned measured = pinned(link.generation);
  const double here = raw_bandwidth(link).value * measured.share, there = pcie->forward.bandwidth.value;
  // What measurements of one kind of link differ by.
  if (std::abs(here / there - 1) < 0.15) return;
  const std::string path = "links." + pcie->name;
  const std::string source = fmt::format("{}: PCIe {} x{}; guessed: as much of it as {}", link.source,
                                         link.generation, link.lanes, measured.source);
  notes.push_back(fmt::format("guessed: {} of the PCIe {} x{} link, where {} has {}", rate(here),
                              link.generation, link.lanes, base.platform.name, rate(there)));
  out.guess(path + ".duplex", rate(pcie->duplex.value * here / there), source);
  for (const auto& [name, direction] : {std::pair{".forward", &pcie->forward},
                                        {".backward", &pcie->backward},
                                        {".pageable_forward", &pcie->pageable_forward},
                                        {".pageable_backward", &pcie->pageable_backward}}) {
    // The driver copies pageable memory to its own first, which a faster link does not help.
    const bool pageable = std::string_view(name).starts_with(".pageable");
    const double own = direction->bandwidth.value;
    const double now = pageable ? std::min(own, here) : own * here / there;
    out.guess(path + name + ".bandwidth", rate(now), source);
    out.guess(path + name + ".half_size",
              fmt::format("{:.0f} B", static_cast<double>(direction->half_size.count) * now / own),
              fmt::format("guessed: that of {}, as the bandwidth", base.platform.name));
  }
}

// Another card of the same kind: as much arithmetic a multiprocessor.
void write_other_peak(const Base& base, PlatformText& out) {
  const GpuFacts& gpu = *base.gpu;
  const auto known = std::find_if(known_gpus().begin(), known_gpus().end(),
                                  [&](const KnownGpu& each) { return each.platform == base.platform.name; });
  if (!gpu.multiprocessors || known == known_gpus().end()) return;
  for (const auto& [format, peak] : base.device().peak)
    out.guess(fmt::format("devices.{}.peak.{}", base.device().name, name_of(format)),
              fmt::format("{:.4g} TFLOP/s",
                          peak.value * 1e-12 * gpu.multiprocessors->value / known->multiprocessors),
              fmt::format("guessed: that of {} x {} / {} multiprocessors; {}", base.platform.name,
                          gpu.multiprocessors->value, known->multiprocessors, gpu.multiprocessors->source));
}

// A memory that is not as fast: what fills it takes as long.
void write_other_bandwidth(const Base& base, BytesPerSecond bandwidth, PlatformText& out) {
  const double faster = bandwidth.value / base.memory().read.value;
  if (std::abs(faster - 1) < 0.1) return;
  const std::string source =
      fmt::format("guessed: that of {} x {:.3g}, as the memory's bandwidth", base.platform.name, faster);
  constexpr std::array<const char*, 5> kClasses{"gemm", "grouped_gemm", "attention", "elementwise", "top_k"};
  for (std::size_t i = 0; i < kClasses.size(); ++i)
    if (const Bytes half = base.device().saturation[i].half_bytes; half.count > 0)
      out.guess(fmt::format("devices.{}.kernels.{}.half_bytes", base.device().name, kClasses[i]),
                fmt::format("{:.0f} B", static_cast<double>(half.count) * faster), source);
  if (base.memory().copies)
    out.guess(fmt::format("memories.{}.copies.bandwidth", base.memory().name),
              rate(base.memory().copies->bandwidth.value * faster), source);
}

// A limit near the base's says nothing new.
void write_power(const Base& base, const Read<double>& limit, PlatformText& out) {
  if (!base.device().power) return;
  const PowerDraw& power = *base.device().power;
  const double share = limit.value / power.compute_bound.value;
  if (std::abs(share - 1) < 0.1) return;
  const std::string path = "devices." + base.device().name + ".power";
  const std::string source = fmt::format("guessed: that of {}, as the power limit", base.platform.name);
  out.read(path + ".compute_bound", watts(limit.value), limit.source);
  out.guess(path + ".memory_bound", watts(power.memory_bound.value * share), source);
  out.guess(path + ".idle", watts(power.idle.value * share), source);
}

void write_gpu(const Base& base, PlatformText& out, std::vector<std::string>& notes) {
  const GpuFacts& gpu = *base.gpu;
  const std::string memory = "memories." + base.memory().name, device = "devices." + base.device().name;
  if (gpu.memory && !base.unified())
    out.read(memory + ".capacity", bytes(gpu.memory->value), gpu.memory->source);
  if (gpu.bandwidth && !base.unified()) {
    out.read(memory + ".read", rate(gpu.bandwidth->value.value), gpu.bandwidth->source);
    out.read(memory + ".write", rate(gpu.bandwidth->value.value), gpu.bandwidth->source);
    write_other_bandwidth(base, gpu.bandwidth->value, out);
  }
  if (gpu.multiprocessors && base.device().multiprocessors)
    out.read(device + ".multiprocessors", fmt::format("{}", gpu.multiprocessors->value),
             gpu.multiprocessors->source);
  if (gpu.power_limit) write_power(base, *gpu.power_limit, out);
  if (!base.same) write_other_peak(base, out);
  if (gpu.link) write_pcie(base, *gpu.link, out, notes);
}

void write_memory(const Base& base, const HostFacts& host, PlatformText& out) {
  const std::string memory = "memories." + base.of_host().name;
  out.read(memory + ".capacity", bytes(host.memory), "read: /proc/meminfo MemTotal");
  // What an operating system takes of a small machine.
  if (const Bytes eighth{host.memory.count / 8}; eighth < base.of_host().reserved)
    out.guess(memory + ".reserved", bytes(eighth), "guessed: an eighth, for the operating system");
  if (base.unified()) return;  // the module's, which its name says
  const Channels& channels = host.channels;
  const std::string bandwidth = rate(0.7 * channels.count * channels.mt_per_s * 8e6);
  const std::string source = fmt::format("guessed: 0.7 of {} channels at {:.0f} MT/s, one socket; {}",
                                         channels.count, channels.mt_per_s, channels.source);
  out.guess(memory + ".read", bandwidth, source);
  out.guess(memory + ".write", bandwidth, source);
}

void write_cpu(const Base& base, const Cpu& cpu, PlatformText& out) {
  using V = Cpu::Vectors;
  struct Width {
    V vectors;
    int operations;
    const char* name;
  };
  // fp32 operations a cycle and core: two units that multiply and add.
  constexpr std::array<Width, 5> kWidths{{{V::avx512, 64, "AVX-512"},
                                          {V::avx2, 32, "AVX2"},
                                          {V::avx, 16, "AVX"},
                                          {V::neon, 16, "NEON"},
                                          {V::none, 8, "SSE"}}};
  const Width& width =
      *std::find_if(kWidths.begin(), kWidths.end(), [&](const Width& w) { return w.vectors == cpu.vectors; });
  if (cpu.ghz <= 0) return;
  out.guess(
      fmt::format("devices.{}.peak.bf16", base.platform[base.platform.first(Device::Kind::cpu)].name),
      fmt::format("{:.4g} TFLOP/s", cpu.cores * cpu.ghz * width.operations * 1e-3),
      fmt::format("guessed: {} cores x {:.3g} GHz x {} fp32 operations a cycle ({}); read: /proc/cpuinfo, {}",
                  cpu.cores, cpu.ghz, width.operations, width.name, cpu.ghz_source));
}

void write_disk(const Base& base, const Disk& disk, PlatformText& out) {
  const auto alike = std::find_if(base.platform.memories.begin(), base.platform.memories.end(),
                                  [](const Memory& m) { return m.kind == Memory::Kind::disk; });
  if (alike == base.platform.memories.end()) return;
  const std::string memory = "memories." + alike->name;
  out.read(memory + ".capacity", bytes(disk.capacity), fmt::format("read: /sys/block/{}/size", disk.name));
  const auto speed = [&](double read, double write, const std::string& source) {
    out.guess(memory + ".read", rate(read), "guessed: " + source);
    out.guess(memory + ".write", rate(write), "guessed: " + source);
  };
  if (disk.kind == Disk::Kind::rotating) speed(0.2e9, 0.2e9, "a disk that rotates");
  if (disk.kind == Disk::Kind::ssd) speed(0.55e9, 0.5e9, "an SSD on SATA");
  const Link* link = base.link_at(alike->name, base.of_host().name);
  if (!disk.link || !link) return;
  // Sequential reads: 970 PRO 3.4 GB/s (kitguru), 7450 MAX 6.94 (recsys-examples #472), 9100 PRO 14.7 (its sheet).
  const int generation = std::clamp(disk.link->generation, 3, 5);
  const double x4 = generation == 3   ? 3.4e9
                    : generation == 4 ? 6.94e9
                                      : 14.7e9,
               raw = raw_bandwidth(*disk.link).value;
  const double read = std::min(x4 * disk.link->lanes / 4, 0.9 * raw);
  speed(read, 0.76 * read, fmt::format("a drive on PCIe {} x{}", disk.link->generation, disk.link->lanes));
  const std::string path = "links." + link->name;
  const std::string source = fmt::format("{}: PCIe {} x{}, after encoding", disk.link->source,
                                         disk.link->generation, disk.link->lanes);
  out.read(path + ".duplex", rate(2 * raw), source);
  for (const char* direction : {".forward", ".backward", ".pageable_forward", ".pageable_backward"})
    out.read(path + direction + ".bandwidth", rate(raw), source);
}

std::string all_names() { return fmt::format("{}", fmt::join(platform_names(), ", ")); }

// Two Jetsons are known; others are said to be like the one with as much memory.
Base jetson_base(const HostFacts& host) {
  const bool large = host.memory > Bytes{40'000'000'000};
  return {Platform::load(large ? "jetson_agx_orin_64gb" : "jetson_agx_orin_32gb"), std::nullopt,
          host.jetson.find("AGX Orin") != std::string::npos};
}

Base choose(const Host& host, const HostFacts& facts, const DetectOptions& options) {
  if (!options.gpu.empty()) {
    Base base{Platform::load(options.gpu), std::nullopt, true};
    if (base.unified())
      throw InputError("--gpu", 0, fmt::format("\"{}\" has one memory with its CPU", options.gpu), "a card");
    // Of a GPU that only the bus knows, this is what it is.
    if (auto gpu = read_gpu(host, options.index); gpu && gpu->name.empty()) base.gpu = std::move(gpu);
    return base;
  }
  if (!facts.jetson.empty()) return jetson_base(facts);
  std::optional<GpuFacts> gpu = read_gpu(host, options.index);
  const std::string instead = "--gpu NAME, for that one in this host: one of " + all_names();
  if (!gpu)
    throw InputError("", 0, "no GPU of NVIDIA's was found (neither NVML nor nvidia-smi, none on the PCI bus)",
                     instead);
  if (gpu->name.empty())
    throw InputError(
        "", 0,
        fmt::format("a GPU whose type is not known (PCI device {}; neither NVML nor nvidia-smi tells)",
                    gpu->pci_id),
        instead);
  const auto found = match(*gpu);
  if (!found) throw InputError("", 0, fmt::format("\"{}\" is like no GPU that is known", gpu->name), instead);
  return {Platform::load(found->gpu->platform), std::move(gpu), found->same};
}

std::string found_gpu(const Base& base, const HostFacts& host, const DetectOptions& options) {
  if (!host.jetson.empty() && options.gpu.empty()) return host.jetson;
  if (!base.gpu) return fmt::format("the GPU of {}, as --gpu says", base.platform.name);
  const GpuFacts& gpu = *base.gpu;
  std::string text =
      gpu.name.empty() ? fmt::format("the GPU of {}, as --gpu says", base.platform.name) : gpu.name;
  if (gpu.memory)
    text += fmt::format(", {:.1f} GiB", static_cast<double>(gpu.memory->value.count) / 1073741824.0);
  if (gpu.multiprocessors) text += fmt::format(", {} multiprocessors", gpu.multiprocessors->value);
  if (gpu.sm_mhz) text += fmt::format(", up to {} MHz", gpu.sm_mhz);
  if (gpu.link) text += fmt::format(", PCIe {} x{}", gpu.link->generation, gpu.link->lanes);
  text += fmt::format(" ({})", gpu.by);
  if (gpu.count > 1) text += fmt::format("; number {} of {} GPUs (--index)", gpu.index, gpu.count);
  return text;
}

std::string found_host(const HostFacts& host) {
  std::string text =
      fmt::format("{}, {} cores, {} socket{}, {} NUMA node{}, {:.0f} GB of memory", host.cpu.model,
                  host.cpu.cores, host.cpu.sockets, host.cpu.sockets == 1 ? "" : "s", host.numa_nodes,
                  host.numa_nodes == 1 ? "" : "s", static_cast<double>(host.memory.count) * 1e-9);
  if (!host.disk) return text + ", no disk";
  text += fmt::format(", disk {} of {:.0f} GB", host.disk->name,
                      static_cast<double>(host.disk->capacity.count) * 1e-9);
  if (host.disk->link)
    text += fmt::format(" on PCIe {} x{}", host.disk->link->generation, host.disk->link->lanes);
  return text;
}

}  // namespace

Detected detect(const Host& host, const DetectOptions& options) {
  const HostFacts facts = read_host(host);
  const Base base = choose(host, facts, options);
  Detected detected;
  const std::string gpu = found_gpu(base, facts, options);
  detected.notes = {"found: " + gpu, "found: " + found_host(facts)};
  PlatformText out;
  if (base.gpu) write_gpu(base, out, detected.notes);
  write_memory(base, facts, out);
  write_cpu(base, facts.cpu, out);
  if (facts.disk) write_disk(base, *facts.disk, out);

  const std::string from =
      fmt::format("{}{}", base.platform.name, base.same ? "" : ", the nearest that is known");
  const std::string title = !facts.jetson.empty() && options.gpu.empty() ? facts.jetson
                            : base.gpu && !base.gpu->name.empty()        ? base.gpu->name
                                                                         : "the GPU of " + base.platform.name;
  const std::string body =
      out.text(options.name, fmt::format("{}, {}, as the machine tells of itself", title, facts.cpu.model),
               base.platform.name);
  detected.platform = Platform::read(Platform::complete(Yaml::parse(body, options.name + ".yaml")));
  const auto& numbers = detected.platform.provenance;
  const auto guessed =
      std::count_if(numbers.begin(), numbers.end(), [](const Provenance& p) { return p.unverified; });
  detected.notes.push_back(
      fmt::format("{} of {} numbers are guessed or carried over from {}", guessed, numbers.size(), from));
  detected.yaml = fmt::format(
      "{} (specmoe machine detect): {} numbers are read, {} are guessed or "
      "carried over\n"
      "# from {}. To measure them: specmoe-calibrate measure --out {}.h5, then\n"
      "# specmoe-calibrate fit {}.h5 --out platforms/{}.yaml (validation/README.md).\n{}",
      kDetectedHead, numbers.size() - static_cast<std::size_t>(guessed), guessed, from, options.name,
      options.name, options.name, body);
  return detected;
}

}  // namespace specmoe
