// Reads platforms/*.yaml. The schema, which every shipped file shows:
//
//   name, description    texts
//   memories             {<name>: {kind: host | device | unified | disk, capacity, reserved, read, write}}
//   switches             [<name>]; optional
//   links                {<name>: {between: [<node>, <node>], forward, backward, duplex, pageable_forward,
//                         pageable_backward, latency, half_size}}; forward is from the first node to the second
//   devices              {<name>: {kind: gpu | cpu, memory: <name>, peak: {<weight format>: ...}, l2,
//                         host_calls: {launch, copy, event, synchronize},
//                         kernels: {gemm, grouped_gemm, attention, elementwise, top_k: {floor, memory_efficiency,
//                         half_bytes, compute_efficiency, tile_rows}}}}; l2, host_calls and kernels of a gpu only
//
// Every number is {value: 26 GB/s, source: "where it came from", unverified: true}; unverified is optional.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "models/hardware/platform.hpp"
#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

// Takes numbers with their sources off a document.
class SourcedReader {
 public:
  explicit SourcedReader(std::vector<Provenance>& provenance) : provenance_(provenance) {}

  Yaml value(const Yaml& map, std::string_view key) {
    const Yaml entry = map[key];
    entry.allow_only({"value", "source", "unverified"});
    const Yaml number = entry["value"];
    const auto mark = entry.find("unverified");
    provenance_.push_back({entry.path(), number.text(), entry["source"].text(), mark && mark->boolean()});
    return number;
  }

 private:
  std::vector<Provenance>& provenance_;
};

constexpr Bytes kLargestMemory{1'000'000'000'000'000};

Memory read_memory(const std::string& name, const Yaml& y, SourcedReader& sourced) {
  y.allow_only({"kind", "capacity", "reserved", "read", "write"});
  Memory memory;
  memory.name = name;
  memory.kind = y["kind"].choice<Memory::Kind>({{"host", Memory::Kind::host},
                                                {"device", Memory::Kind::device},
                                                {"unified", Memory::Kind::unified},
                                                {"disk", Memory::Kind::disk}});
  memory.capacity = sourced.value(y, "capacity").bytes({1'000'000}, kLargestMemory);
  memory.reserved = sourced.value(y, "reserved").bytes({0}, memory.capacity);
  memory.read = sourced.value(y, "read").bandwidth();
  memory.write = sourced.value(y, "write").bandwidth();
  return memory;
}

Link read_link(const std::string& name, const Yaml& y, const std::set<std::string>& nodes,
               SourcedReader& sourced) {
  y.allow_only({"between", "forward", "backward", "duplex", "pageable_forward", "pageable_backward",
                "latency", "half_size"});
  Link link;
  link.name = name;
  const auto ends = y["between"].items();
  if (ends.size() != 2 || ends[0].text() == ends[1].text()) y["between"].fail("two different nodes");
  const std::vector<std::string_view> names(nodes.begin(), nodes.end());
  for (const Yaml& end : ends)
    if (!nodes.count(end.text())) end.fail_choice(names);
  link.a = ends[0].text();
  link.b = ends[1].text();
  link.forward = sourced.value(y, "forward").bandwidth();
  link.backward = sourced.value(y, "backward").bandwidth();
  const Yaml duplex = sourced.value(y, "duplex");
  link.duplex = duplex.bandwidth();
  if (link.duplex < std::max(link.forward, link.backward) ||
      link.duplex.value > link.forward.value + link.backward.value)
    duplex.fail("from the faster direction's bandwidth to the sum of both");
  link.pageable_forward = sourced.value(y, "pageable_forward").bandwidth();
  link.pageable_backward = sourced.value(y, "pageable_backward").bandwidth();
  link.latency = sourced.value(y, "latency").seconds({0}, {1});
  link.half_size = sourced.value(y, "half_size").bytes({0}, {1'000'000'000});
  return link;
}

Saturation read_saturation(const Yaml& y, SourcedReader& sourced) {
  y.allow_only({"floor", "memory_efficiency", "half_bytes", "compute_efficiency", "tile_rows"});
  return {sourced.value(y, "floor").seconds({0}, {1}), sourced.value(y, "memory_efficiency").number(1e-3, 4),
          sourced.value(y, "half_bytes").bytes({0}, {1'000'000'000'000}),
          sourced.value(y, "compute_efficiency").number(1e-3, 1),
          sourced.value(y, "tile_rows").integer(1, 4096)};
}

Device read_device(const std::string& name, const Yaml& y, const Platform& platform, SourcedReader& sourced) {
  Device device;
  device.name = name;
  y.allow_only({"kind", "memory", "peak", "l2", "host_calls", "kernels"});
  device.kind = y["kind"].choice<Device::Kind>({{"gpu", Device::Kind::gpu}, {"cpu", Device::Kind::cpu}});
  const Yaml memory = y["memory"];
  std::vector<std::string_view> names;
  for (const Memory& m : platform.memories) names.push_back(m.name);
  if (std::find(names.begin(), names.end(), memory.text()) == names.end()) memory.fail_choice(names);
  device.memory = platform.memory(memory.text());
  const Memory::Kind kind = platform[device.memory].kind;
  const bool gpu = device.kind == Device::Kind::gpu;
  if (kind != Memory::Kind::unified && kind != (gpu ? Memory::Kind::device : Memory::Kind::host))
    memory.fail(gpu ? "a device or unified memory" : "a host or unified memory");

  const Yaml peak = y["peak"];
  peak.allow_only({"fp32", "bf16", "fp8", "int8", "int4", "mxfp4", "int3", "int2"});
  for (const WeightFormat format :
       {WeightFormat::fp32, WeightFormat::bf16, WeightFormat::fp8, WeightFormat::int8, WeightFormat::int4,
        WeightFormat::mxfp4, WeightFormat::int3, WeightFormat::int2})
    if (peak.find(name_of(format))) device.peak[format] = sourced.value(peak, name_of(format)).flop_rate();
  if (!device.peak.count(WeightFormat::bf16)) peak["bf16"];  // says that it is missing
  if (!gpu) return device;

  device.l2 = sourced.value(y, "l2").bytes({0}, {1'000'000'000'000});
  const Yaml calls = y["host_calls"];
  calls.allow_only({"launch", "copy", "event", "synchronize"});
  const auto call = [&](std::string_view key) { return sourced.value(calls, key).seconds({0}, {1}); };
  device.host_calls = {call("launch"), call("copy"), call("event"), call("synchronize")};
  const Yaml kernels = y["kernels"];
  kernels.allow_only({"gemm", "grouped_gemm", "attention", "elementwise", "top_k"});
  std::size_t i = 0;
  for (const char* name_of_class : {"gemm", "grouped_gemm", "attention", "elementwise", "top_k"})
    device.saturation[i++] = read_saturation(kernels[name_of_class], sourced);
  return device;
}

}  // namespace

Platform Platform::load(const std::string& name_or_file) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::is_regular_file(name_or_file, ignored)) return read(Yaml::load(name_or_file));
  const fs::path shipped = home() / "platforms" / (name_or_file + ".yaml");
  if (fs::is_regular_file(shipped, ignored)) return read(Yaml::load(shipped));
  std::string names;
  for (const std::string& name : platform_names()) names += (names.empty() ? "" : ", ") + name;
  throw InputError("", 0, fmt::format("platform \"{}\" is unknown", name_or_file),
                   fmt::format("a file or one of {}", names));
}

Platform Platform::read(const Yaml& document) {
  document.allow_only({"name", "description", "memories", "switches", "links", "devices"});
  Platform platform;
  SourcedReader sourced(platform.provenance);
  platform.file_ = document.file();
  platform.name = document["name"].text();
  platform.description = document["description"].text();
  std::set<std::string> nodes;
  for (const auto& [name, y] : document["memories"].entries()) {
    platform.memories.push_back(read_memory(name, y, sourced));
    nodes.insert(name);
  }
  if (nodes.empty()) document["memories"].fail("at least one memory");
  if (const auto switches = document.find("switches"))
    for (const Yaml& y : switches->items()) {
      if (!nodes.insert(y.text()).second) y.fail("a name that no other node has");
      platform.switches.push_back(y.text());
    }
  for (const auto& [name, y] : document["links"].entries())
    platform.links.push_back(read_link(name, y, nodes, sourced));
  for (const auto& [name, y] : document["devices"].entries())
    platform.devices.push_back(read_device(name, y, platform, sourced));
  if (platform.devices.empty()) document["devices"].fail("at least one device");
  return platform;
}

std::vector<std::string> platform_names() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(home() / "platforms", ignored))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace specmoe
