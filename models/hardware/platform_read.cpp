// Reads platforms/*.yaml. The schema, which every shipped file shows:
//
//   name, description    texts
//   price                of the card or module, in USD; optional
//   memories             {<name>: {kind: host | device | unified | disk, capacity, reserved, read, write, copies, energy}};
//                         copies, those within the memory, is a direction as of links without energy; it and energy,
//                         an access's a byte, are optional
//   switches             [<name>]; optional
//   links                {<name>: {between: [<node>, <node>], duplex, forward, backward, pageable_forward,
//                         pageable_backward}}; forward is from the first node to the second; each direction is
//                         {bandwidth, latency, half_size, inline_size, energy}; inline_size (0 B without) and energy, a
//                         byte's, are optional; only forward and backward have energy
//   devices              {<name>: {kind: gpu | cpu, memory: <name>, peak: {<weight format>: ...}, l2,
//                         multiprocessors, power: {idle, memory_bound, compute_bound}, event_time, event_latency, kernel_change, copy_slowdown: {memory_bound, compute_bound},
//                         host_calls: {launch, copy, record, wait, synchronize, work},
//                         kernels: {gemm, grouped_gemm, attention, elementwise, top_k: {floor, memory_efficiency,
//                         half_bytes, compute_efficiency, tile_rows, dispatch, start, measured}}}}; attention and
//                         top_k have block and serial too, attention resident; of a cpu, host_calls {launch, record,
//                         wait, synchronize} and kernels {gemm, elementwise} are optional, both or neither (without
//                         them it computes nothing), and the other keys but kind, memory, peak and power are a
//                         gpu's; power is of all devices or of none; multiprocessors, event_time, event_latency, kernel_change, copy_slowdown, work, dispatch,
//                         start, block, serial (0 without), resident (1 without) and measured are optional
//   measured             {source: text, unverified, along: [...], shapes: [{shape: [...], format, along: [...],
//                         ratio: [...], dispatch_us: [...]}]}: curves, see Curve and ShapePoint; format is bf16 without; a shape's own
//                         along takes the place of the common one
//
// Every other number is {value: 26 GB/s, source: "where it came from", unverified: true}; unverified is optional.
//
// A file may be short (platform_open.cpp makes it whole):
//
//   like                 another platform's name, or a file beside this one: all that this file does not give is that
//                         one's, its numbers unverified and their sources "carried over from ..."; but not name,
//                         description and price
//   without              [<path>]: what the other has and this one has not, e.g. devices.gpu.peak.fp8; optional
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "models/hardware/kernel_price.hpp"
#include "models/hardware/platform.hpp"
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
    group(entry, number.text());
    return number;
  }
  std::optional<Yaml> find(const Yaml& map, std::string_view key) {
    if (!map.find(key)) return std::nullopt;
    return value(map, key);
  }
  /// An entry whose source is that of many numbers, with keys of its own beside source and unverified.
  void group(const Yaml& entry, const std::string& value) {
    const auto mark = entry.find("unverified");
    provenance_.push_back({entry.path(), value, entry["source"].text(), mark && mark->boolean()});
  }

 private:
  std::vector<Provenance>& provenance_;
};

constexpr std::array kFormats{WeightFormat::fp32, WeightFormat::bf16, WeightFormat::fp8,
                              WeightFormat::int8, WeightFormat::int4, WeightFormat::mxfp4,
                              WeightFormat::int3, WeightFormat::int2};

WeightFormat read_format(const Yaml& y) {
  std::vector<std::string_view> names;
  for (const WeightFormat format : kFormats) {
    if (y.text() == name_of(format)) return format;
    names.push_back(name_of(format));
  }
  y.fail_choice(names);
}

constexpr Bytes kLargestMemory{1'000'000'000'000'000};

Direction read_direction(const Yaml& y, SourcedReader& sourced, bool has_energy = false) {
  if (has_energy)
    y.allow_only({"bandwidth", "latency", "half_size", "inline_size", "energy"});
  else
    y.allow_only({"bandwidth", "latency", "half_size", "inline_size"});
  Direction direction{sourced.value(y, "bandwidth").bandwidth(),
                      sourced.value(y, "latency").seconds({0}, {1}),
                      sourced.value(y, "half_size").bytes({0}, {1'000'000'000})};
  if (const auto size = sourced.find(y, "inline_size")) direction.inline_size = size->bytes({0}, {1'000'000});
  if (const auto energy = sourced.find(y, "energy")) direction.energy = energy->energy_per_byte();
  return direction;
}

Memory read_memory(const std::string& name, const Yaml& y, SourcedReader& sourced) {
  y.allow_only({"kind", "capacity", "reserved", "read", "write", "copies", "energy"});
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
  if (const auto copies = y.find("copies")) {
    if (memory.kind == Memory::Kind::disk) copies->fail("no such key of a disk");
    memory.copies = read_direction(*copies, sourced);
  }
  if (const auto energy = sourced.find(y, "energy")) memory.energy = energy->energy_per_byte();
  return memory;
}

Link read_link(const std::string& name, const Yaml& y, const std::set<std::string>& nodes,
               SourcedReader& sourced) {
  y.allow_only({"between", "duplex", "forward", "backward", "pageable_forward", "pageable_backward"});
  Link link;
  link.name = name;
  const auto ends = y["between"].items();
  if (ends.size() != 2 || ends[0].text() == ends[1].text()) y["between"].fail("two different nodes");
  const std::vector<std::string_view> names(nodes.begin(), nodes.end());
  for (const Yaml& end : ends)
    if (!nodes.count(end.text())) end.fail_choice(names);
  link.a = ends[0].text();
  link.b = ends[1].text();
  link.forward = read_direction(y["forward"], sourced, true);
  link.backward = read_direction(y["backward"], sourced, true);
  link.pageable_forward = read_direction(y["pageable_forward"], sourced);
  link.pageable_backward = read_direction(y["pageable_backward"], sourced);
  const Yaml duplex = sourced.value(y, "duplex");
  link.duplex = duplex.bandwidth();
  const BytesPerSecond there = link.forward.bandwidth, back = link.backward.bandwidth;
  if (link.duplex < std::max(there, back) || link.duplex.value > there.value + back.value)
    duplex.fail("from the faster direction's bandwidth to the sum of both");
  return link;
}

constexpr std::array<const char*, 5> kClasses{"gemm", "grouped_gemm", "attention", "elementwise", "top_k"};

Saturation read_saturation(const Yaml& y, std::string_view kernel_class, SourcedReader& sourced) {
  const bool attention = kernel_class == "attention", walks = attention || kernel_class == "top_k";
  if (attention)
    y.allow_only({"floor", "memory_efficiency", "half_bytes", "compute_efficiency", "tile_rows", "dispatch",
                  "start", "block", "serial", "resident", "measured"});
  else if (walks)
    y.allow_only({"floor", "memory_efficiency", "half_bytes", "compute_efficiency", "tile_rows", "dispatch",
                  "start", "block", "serial", "measured"});
  else
    y.allow_only({"floor", "memory_efficiency", "half_bytes", "compute_efficiency", "tile_rows", "dispatch",
                  "start", "measured"});
  Saturation saturation{
      sourced.value(y, "floor").seconds({0}, {1}), sourced.value(y, "memory_efficiency").number(1e-3, 4),
      sourced.value(y, "half_bytes").bytes({0}, {1'000'000'000'000}),
      sourced.value(y, "compute_efficiency").number(1e-3, 1), sourced.value(y, "tile_rows").integer(1, 4096)};
  if (const auto dispatch = sourced.find(y, "dispatch")) saturation.dispatch = dispatch->seconds({0}, {1});
  if (const auto start = sourced.find(y, "start")) saturation.start = start->seconds({0}, {1});
  if (!walks) return saturation;
  if (const auto block = sourced.find(y, "block")) saturation.block = block->seconds({0}, {1});
  if (const auto serial = sourced.find(y, "serial")) saturation.serial = serial->seconds({0}, {1});
  if (!attention) return saturation;
  if (const auto resident = sourced.find(y, "resident")) saturation.resident = resident->integer(1, 64);
  return saturation;
}

std::vector<double> read_numbers(const Yaml& y, double least, double most) {
  std::vector<double> numbers;
  for (const Yaml& number : y.items()) numbers.push_back(number.number(least, most));
  return numbers;
}

std::vector<double> read_along(const Yaml& y) {
  std::vector<double> along = read_numbers(y, 1e-9, 1e12);
  if (along.empty()) y.fail("at least one number");
  if (std::adjacent_find(along.begin(), along.end(), std::greater_equal<>()) != along.end())
    y.fail("ascending numbers");
  return along;
}

/// @param dimensions of the class's shapes
std::vector<Curve> read_curves(const Yaml& y, int dimensions, SourcedReader& sourced) {
  y.allow_only({"source", "unverified", "along", "shapes"});
  std::vector<Curve> curves;
  for (const Yaml& each : y["shapes"].items()) {
    each.allow_only({"shape", "format", "along", "ratio", "dispatch_us"});
    Curve curve{{}, WeightFormat::bf16, {}, read_numbers(each["ratio"], 0.01, 100)};
    const std::vector<double> shape = read_numbers(each["shape"], 0, 1e12);
    if (static_cast<int>(shape.size()) != dimensions)
      each["shape"].fail(fmt::format("{} numbers", dimensions));
    std::copy(shape.begin(), shape.end(), curve.shape.begin());
    if (const auto format = each.find("format")) curve.format = read_format(*format);
    const auto own = each.find("along");
    curve.along = read_along(own ? *own : y["along"]);
    if (curve.ratio.size() != curve.along.size())
      each["ratio"].fail(fmt::format("{} numbers, one for each of along", curve.along.size()));
    if (const auto dispatch = each.find("dispatch_us")) {
      for (const double us : read_numbers(*dispatch, 0, 1e6)) curve.dispatch.push_back({us * 1e-6});
      if (curve.dispatch.size() != curve.along.size())
        dispatch->fail(fmt::format("{} numbers, one for each of along", curve.along.size()));
    }
    curves.push_back(std::move(curve));
  }
  sourced.group(y, fmt::format("{} curves", curves.size()));
  return curves;
}

PowerDraw read_power(const Yaml& y, SourcedReader& sourced) {
  y.allow_only({"idle", "memory_bound", "compute_bound"});
  PowerDraw power;
  power.idle = sourced.value(y, "idle").power();
  const auto busy = [&](std::string_view key) {
    const Yaml value = sourced.value(y, key);
    if (value.power() < power.idle) value.fail("at least idle");
    return value.power();
  };
  power.memory_bound = busy("memory_bound");
  power.compute_bound = busy("compute_bound");
  return power;
}

// What a CPU needs that computes experts.
void read_cpu_kernels(const Yaml& y, Device& device, SourcedReader& sourced) {
  y.allow_only({"kind", "memory", "peak", "power", "host_calls", "kernels"});
  if (!y.find("kernels") && !y.find("host_calls")) return;
  const Yaml calls = y["host_calls"], kernels = y["kernels"];
  calls.allow_only({"launch", "record", "wait", "synchronize"});
  const auto call = [&](std::string_view key) { return sourced.value(calls, key).seconds({0}, {1}); };
  device.host_calls = {call("launch"), {}, call("record"), call("wait"), call("synchronize")};
  kernels.allow_only({"gemm", "elementwise"});
  for (std::size_t i = 0; i < kClasses.size(); ++i)
    if (const auto of_class = kernels.find(kClasses[i]))
      device.saturation[i] = read_saturation(*of_class, kClasses[i], sourced);
  if (!device.computes()) kernels["gemm"];  // says that it is missing
}

Device read_device(const std::string& name, const Yaml& y, const Platform& platform, SourcedReader& sourced) {
  Device device;
  device.name = name;
  y.allow_only({"kind", "memory", "peak", "l2", "multiprocessors", "power", "event_time", "event_latency",
                "kernel_change", "copy_slowdown", "host_calls", "kernels"});
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
  for (const WeightFormat format : kFormats)
    if (peak.find(name_of(format))) device.peak[format] = sourced.value(peak, name_of(format)).flop_rate();
  if (!device.peak.count(WeightFormat::bf16)) peak["bf16"];  // says that it is missing
  if (const auto power = y.find("power")) device.power = read_power(*power, sourced);
  if (!gpu) {
    read_cpu_kernels(y, device, sourced);
    return device;
  }

  device.l2 = sourced.value(y, "l2").bytes({0}, {1'000'000'000'000});
  if (const auto count = sourced.find(y, "multiprocessors"))
    device.multiprocessors = count->integer(1, 100'000);
  if (const auto time = sourced.find(y, "event_time")) device.event_time = time->seconds({0}, {1});
  if (const auto latency = sourced.find(y, "event_latency"))
    device.event_latency = latency->seconds({0}, {1});
  if (const auto change = sourced.find(y, "kernel_change")) device.kernel_change = change->seconds({0}, {1});
  if (const auto slowdown = y.find("copy_slowdown")) {
    slowdown->allow_only({"memory_bound", "compute_bound"});
    device.copy_slowdown_memory = sourced.value(*slowdown, "memory_bound").number(0, 2);
    device.copy_slowdown_compute = sourced.value(*slowdown, "compute_bound").number(0, 2);
  }
  const Yaml calls = y["host_calls"];
  calls.allow_only({"launch", "copy", "record", "wait", "synchronize", "work"});
  const auto call = [&](std::string_view key) { return sourced.value(calls, key).seconds({0}, {1}); };
  device.host_calls = {call("launch"), call("copy"), call("record"), call("wait"), call("synchronize")};
  if (const auto work = sourced.find(calls, "work")) device.host_calls.work = work->seconds({0}, {1});
  const Yaml kernels = y["kernels"];
  kernels.allow_only({"gemm", "grouped_gemm", "attention", "elementwise", "top_k"});
  for (std::size_t i = 0; i < kClasses.size(); ++i) {
    const Yaml of_class = kernels[kClasses[i]];
    device.saturation[i] = read_saturation(of_class, kClasses[i], sourced);
    if (const auto measured = of_class.find("measured"))
      device.curves[i] = read_curves(*measured, kShapeDimensions[i], sourced);
  }
  return device;
}

}  // namespace

Platform Platform::read(const Yaml& document) {
  document.allow_only({"name", "description", "price", "memories", "switches", "links", "devices"});
  Platform platform;
  SourcedReader sourced(platform.provenance);
  platform.file_ = document.file();
  platform.name = document["name"].text();
  platform.description = document["description"].text();
  if (const auto price = sourced.find(document, "price")) platform.price = price->dollars();
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
  const auto metered = [](const Device& device) { return device.power.has_value(); };
  if (std::any_of(platform.devices.begin(), platform.devices.end(), metered))
    for (const Device& device : platform.devices)
      if (!metered(device)) document["devices"][device.name]["power"];  // says that it is missing
  return platform;
}

}  // namespace specmoe
