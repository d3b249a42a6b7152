#include "sim/detect/host.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include "sim/base/input_error.hpp"
#include "sim/detect/dmi.hpp"

namespace specmoe {

namespace {

namespace fs = std::filesystem;

std::optional<std::string> output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen((command + " 2>/dev/null").c_str(), "r"),
                                                   ::pclose);
  if (!pipe) return std::nullopt;
  std::string all;
  std::array<char, 4096> part;
  while (const std::size_t size = std::fread(part.data(), 1, part.size(), pipe.get()))
    all.append(part.data(), size);
  if (all.empty()) return std::nullopt;
  return all;
}

double number_of(const std::optional<std::string>& text) {
  return text ? std::strtod(text->c_str(), nullptr) : 0;
}

// The generations' transfers a second and lane, and what encoding leaves of 16 lanes, GB/s a direction.
struct Generation {
  double gt_per_s, x16;
};
constexpr std::array<Generation, 6> kGenerations{
    {{2.5, 4}, {5, 8}, {8, 15.75}, {16, 31.5}, {32, 63}, {64, 121}}};

// "key : value" lines of /proc/cpuinfo, one map a processor.
std::vector<std::map<std::string, std::string>> processors(const Host& host) {
  std::ifstream in(host.root / "proc/cpuinfo");
  std::vector<std::map<std::string, std::string>> all;
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    if (key == "processor") all.emplace_back();
    if (!all.empty()) all.back()[key] = line.substr(std::min(line.size(), colon + 2));
  }
  return all;
}

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream in(text);
  return std::find(std::istream_iterator<std::string>(in), std::istream_iterator<std::string>(), word) !=
         std::istream_iterator<std::string>();
}

using Processor = std::map<std::string, std::string>;
std::string value_of(const Processor& p, const std::string& key) {
  const auto found = p.find(key);
  return found == p.end() ? "" : found->second;
}
// x86 calls them flags, Arm Features.
bool has_flag(const Processor& p, const std::string& flag) {
  return has_word(value_of(p, "flags"), flag) || has_word(value_of(p, "Features"), flag);
}

Cpu read_cpu(const Host& host, const std::vector<Processor>& all) {
  Cpu cpu;
  const Processor& first = all.front();
  cpu.model = value_of(first, "model name");
  if (cpu.model.empty()) cpu.model = fmt::format("Arm CPU part {}", value_of(first, "CPU part"));
  std::set<std::string> sockets;
  std::set<std::pair<std::string, std::string>> cores;
  for (const Processor& p : all) {
    sockets.insert(value_of(p, "physical id"));
    cores.insert({value_of(p, "physical id"), value_of(p, "core id")});
  }
  cpu.sockets = static_cast<int>(sockets.size());
  // Arm names no cores: each processor is one.
  cpu.cores = static_cast<int>(first.count("core id") ? cores.size() : all.size());
  const auto most = host.line("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
  cpu.ghz = most ? number_of(most) * 1e-6 : number_of(value_of(first, "cpu MHz")) * 1e-3;
  cpu.ghz_source = most ? "cpuinfo_max_freq" : "cpu MHz of /proc/cpuinfo";
  using V = Cpu::Vectors;
  for (const auto& [flag, vectors] :
       {std::pair{"avx512f", V::avx512}, {"avx2", V::avx2}, {"avx", V::avx}, {"asimd", V::neon}})
    if (cpu.vectors == V::none && has_flag(first, flag)) cpu.vectors = vectors;
  return cpu;
}

// Channels by the class of the processor, as its makers' sheets have it.
Channels guess_channels(const Processor& p) {
  const std::string model = value_of(p, "model name");
  const auto is = [&](const char* part) { return model.find(part) != std::string::npos; };
  const int family = static_cast<int>(number_of(value_of(p, "cpu family"))),
            number = static_cast<int>(number_of(value_of(p, "model")));
  const auto guess = [](int count, double rate, const char* what) {
    return Channels{count, rate, fmt::format("by the class of the processor: {}", what)};
  };
  const bool zen4 = family > 25 || (family == 25 && (number >= 0x60 || (number >= 0x10 && number < 0x20)));
  if (is("EPYC"))
    return zen4 ? guess(12, 4800, "EPYC from Zen 4, DDR5-4800")
                : guess(8, 3200, "EPYC before Zen 4, DDR4-3200");
  if (is("Threadripper"))
    return zen4 ? guess(4, 5200, "Threadripper, DDR5-5200") : guess(4, 3200, "Threadripper, DDR4-3200");
  if (is("Xeon")) {
    if (has_flag(p, "amx_tile")) return guess(8, 4800, "Xeon with AMX, DDR5-4800");
    if (has_flag(p, "avx512_bitalg")) return guess(8, 3200, "Xeon of the Ice Lake class, DDR4-3200");
    if (has_flag(p, "avx512f")) return guess(6, 2666, "Xeon of the Skylake class, DDR4-2666");
    return guess(4, 2400, "a Xeon before AVX-512, DDR4-2400");
  }
  if (has_flag(p, "asimd") && has_flag(p, "sve2"))
    return guess(16, 4266, "an Arm server of the Grace class, LPDDR5X");
  // From Alder Lake on; both kinds of memory fit it.
  const bool alder_lake = value_of(p, "vendor_id") == "GenuineIntel" && family == 6 && number >= 151;
  return zen4 || alder_lake ? guess(2, 5200, "a desktop or laptop processor, DDR5-5200")
                            : guess(2, 3200, "a desktop or laptop processor, DDR4-3200");
}

// What is read of the modules decides the rate; how many of them share a channel only the class of the processor can say.
Channels read_channels(const Host& host, const Processor& p, int sockets) {
  Channels channels = guess_channels(p);
  const std::vector<MemoryModule> modules = read_dmi(host.root / "sys/firmware/dmi/tables/DMI");
  double slowest = 0;
  for (const MemoryModule& module : modules)
    if (module.mt_per_s > 0 && (slowest == 0 || module.mt_per_s < slowest)) slowest = module.mt_per_s;
  if (slowest == 0) return channels;
  const int a_socket = std::max(1, static_cast<int>(modules.size()) / sockets);
  channels.count = std::min(channels.count, a_socket);
  channels.mt_per_s = slowest;
  channels.source = fmt::format("read: DMI, {} modules at {:.0f} MT/s", modules.size(), slowest);
  return channels;
}

std::optional<Disk> read_disk(const Host& host) {
  std::optional<Disk> best;
  for (const std::string& name : host.names("sys/block")) {
    const auto is = [&](const char* start) { return name.starts_with(start); };
    if (!is("nvme") && !is("sd") && !is("vd") && !is("xvd") && !is("mmcblk")) continue;
    const fs::path folder = fs::path("sys/block") / name;
    if (number_of(host.line(folder / "removable")) != 0) continue;
    Disk disk{
        name, {static_cast<std::int64_t>(number_of(host.line(folder / "size"))) * 512}, Disk::Kind::ssd, {}};
    if (disk.capacity.count == 0) continue;
    if (is("nvme")) {
      disk.kind = Disk::Kind::nvme;
      // nvme0n1 is a name space of the controller nvme0
      disk.link =
          read_pcie_link(host, fs::path("sys/class/nvme") / name.substr(0, name.find('n', 4)) / "device",
                         "current_link_speed");
    } else if (is("vd") || is("xvd")) {
      disk.kind = Disk::Kind::virtual_disk;
    } else if (number_of(host.line(folder / "queue/rotational")) != 0) {
      disk.kind = Disk::Kind::rotating;
    }
    const auto rank = [](const Disk& d) { return std::pair{d.kind == Disk::Kind::nvme, d.capacity}; };
    if (!best || rank(*best) < rank(disk)) best = disk;
  }
  return best;
}

}  // namespace

Host Host::here() { return {"/", Nvml::find(), output_of}; }

std::optional<std::string> Host::line(const fs::path& file) const {
  std::ifstream in(root / file);
  std::string text;
  if (!std::getline(in, text)) return std::nullopt;
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ' || text.back() == '\r')) text.pop_back();
  return text;
}

std::vector<std::string> Host::names(const fs::path& folder) const {
  std::vector<std::string> all;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root / folder, ignored))
    all.push_back(entry.path().filename().string());
  std::sort(all.begin(), all.end());
  return all;
}

BytesPerSecond raw_bandwidth(const PcieLink& link) {
  return {kGenerations.at(static_cast<std::size_t>(link.generation - 1)).x16 * 1e9 * link.lanes / 16};
}

std::optional<PcieLink> read_pcie_link(const Host& host, const fs::path& device, const char* speed_file) {
  const double speed = number_of(host.line(device / speed_file));  // "16.0 GT/s PCIe"
  const int lanes = static_cast<int>(number_of(host.line(device / "current_link_width")));
  const auto found = std::find_if(kGenerations.begin(), kGenerations.end(),
                                  [&](const Generation& each) { return each.gt_per_s == speed; });
  if (found == kGenerations.end() || lanes < 1 || lanes > 32) return std::nullopt;
  return PcieLink{static_cast<int>(found - kGenerations.begin()) + 1, lanes,
                  fmt::format("read: /{} and current_link_width", (device / speed_file).string())};
}

HostFacts read_host(const Host& host) {
  const auto all = processors(host);
  if (all.empty()) throw InputError((host.root / "proc/cpuinfo").string(), 0, "names no processor", "Linux");
  HostFacts facts;
  facts.cpu = read_cpu(host, all);
  std::ifstream meminfo(host.root / "proc/meminfo");
  std::string key;
  std::int64_t kib = 0;
  while (meminfo >> key >> kib && key != "MemTotal:") meminfo.ignore(1000, '\n');
  if (key != "MemTotal:" || kib <= 0)
    throw InputError((host.root / "proc/meminfo").string(), 0, "has no MemTotal", "Linux");
  facts.memory = {kib * 1024};
  facts.channels = read_channels(host, all.front(), facts.cpu.sockets);
  const auto nodes = host.names("sys/devices/system/node");
  const auto is_node = [](const std::string& name) {
    return name.size() > 4 && name.starts_with("node") &&
           name.find_first_not_of("0123456789", 4) == name.npos;
  };
  facts.numa_nodes = std::max(1, static_cast<int>(std::count_if(nodes.begin(), nodes.end(), is_node)));
  facts.disk = read_disk(host);
  const std::string model = host.line("proc/device-tree/model").value_or("");
  if (host.line("etc/nv_tegra_release") || model.find("Jetson") != std::string::npos)
    facts.jetson = model.empty() ? "a Jetson" : model;
  return facts;
}

}  // namespace specmoe
