#include "validation/calibration/fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sim/base/input_error.hpp"
#include "validation/calibration/fit_kernels.hpp"
#include "validation/calibration/fit_machine.hpp"
#include "validation/calibration/fit_power.hpp"
#include "validation/calibration/shapes.hpp"

namespace specmoe {

namespace {

// Of a CPU that nobody has measured computing experts.
constexpr const char* kCpuKernels = R"(    host_calls:
      launch: {value: 0.5 us, source: "assumed: a task is put into the queue of a pool of threads that spin", unverified: true}
      record: {value: 0.5 us, source: "assumed: as a launch", unverified: true}
      wait: {value: 0.5 us, source: "assumed: as a launch", unverified: true}
      synchronize: {value: 1.5 us, source: "assumed: as the gpu's", unverified: true}
    kernels:
      gemm:
        floor: {value: 5 us, source: "assumed: fork and join of the pool", unverified: true}
        memory_efficiency: {value: 0.61, source: "expert kernels 67 to 68 GB/s where a triad has 110.8 GB/s, four channels DDR5-4400 on two sockets: colibri #537, another machine", unverified: true}
        half_bytes: {value: 0 B, source: "assumed", unverified: true}
        compute_efficiency: {value: 0.5, source: "assumed: half of the peak", unverified: true}
        tile_rows: {value: 1, source: "assumed: no tiles of rows", unverified: true}
      elementwise:
        floor: {value: 5 us, source: "assumed: fork and join of the pool", unverified: true}
        memory_efficiency: {value: 0.61, source: "as gemm", unverified: true}
        half_bytes: {value: 0 B, source: "assumed", unverified: true}
        compute_efficiency: {value: 0.5, source: "assumed: half of the peak", unverified: true}
        tile_rows: {value: 1, source: "assumed: no tiles of rows", unverified: true}
)";

// Nor has anybody measured what it draws; only where the GPU's power is known.
constexpr const char* kCpuPower = R"(    power:
      idle: {value: 30 W, source: "assumed: 16 of the 56 cores of a socket of 350 W", unverified: true}
      memory_bound: {value: 80 W, source: "assumed: 16 of the 56 cores of a socket of 350 W", unverified: true}
      compute_bound: {value: 100 W, source: "assumed: 16 of the 56 cores of a socket of 350 W", unverified: true}
)";

// Dense products a clock and multiprocessor by compute capability, bf16 (fp16 on 7.5) and fp8: the architectures' white
// papers and CUDA's programming guide, "arithmetic instructions".
struct TensorRate {
  const char* capability;
  double bf16, fp8;
};
constexpr TensorRate kTensorRates[] = {{"7.5", 1024, 0},      {"8.0", 2048, 0},    {"8.6", 1024, 0},
                                       {"8.7", 2048, 0},      {"8.9", 1024, 2048}, {"9.0", 4096, 8192},
                                       {"10.0", 8192, 16384}, {"12.0", 1024, 2048}};

// As YAML and C++ both read it.
std::string quoted(const std::string& text) {
  std::string all = "\"";
  for (const char c : text)
    if (c == '"' || c == '\\')
      all += std::string("\\") + c;
    else
      all += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  return all + "\"";
}

struct Text {
  std::string yaml;
  std::string file;

  void line(int depth, const std::string& text) {
    yaml += std::string(static_cast<std::size_t>(2 * depth), ' ') + text + "\n";
  }
  void value(int depth, const std::string& key, const std::string& value, const std::string& source,
             bool unverified = false) {
    line(depth, fmt::format("{}: {{value: {}, source: \"{}\"{}}}", key, value, source,
                            unverified ? ", unverified: true" : ""));
  }
  std::string from(const std::string& experiment) const { return file + " " + experiment; }
};

std::string us(double seconds) { return fmt::format("{:.4g} us", seconds * 1e6); }
std::string gb(double rate) { return fmt::format("{:.5g} GB/s", rate * 1e-9); }

// How far the samples of an experiment's points lie apart, of those whose first parameters are `head`: ", +-1.2 %".
std::string samples(const Measurement& m, const std::string& experiment,
                    const std::vector<std::int64_t>& head = {}) {
  std::vector<double> all;
  for (const MeasuredPoint& point : m[experiment].points)
    if (std::equal(head.begin(), head.end(), point.parameters.begin())) all.push_back(point.spread());
  return fmt::format(", samples +-{:.1f} %", 100 * median_of(all));
}

// Nothing where the search left the number as it began: the points do not tell it.
std::string spread(const Spread& s) {
  return s.deviation > 0 ? fmt::format(", +-{:.1f} %", 100 * s.deviation / s.value) : "";
}

void write_curves(Text& out, const std::vector<Curve>& curves, std::size_t kernel_class,
                  const std::string& source) {
  if (curves.empty()) return;
  out.line(4, "measured:");
  out.line(5, fmt::format("source: \"{}\"", source));
  out.line(5, "shapes:");
  const auto list = [](const std::vector<double>& numbers, const char* format) {
    std::string all;
    for (const double x : numbers) all += (all.empty() ? "" : ", ") + fmt::format(fmt::runtime(format), x);
    return all;
  };
  for (const Curve& curve : curves) {
    const std::vector<double> shape(curve.shape.begin(),
                                    curve.shape.begin() + kShapeDimensions[kernel_class]);
    std::vector<double> dispatch;
    for (const Seconds each : curve.dispatch) dispatch.push_back(each.value * 1e6);
    out.line(6,
             fmt::format(
                 "- {{shape: [{}], {}along: [{}], ratio: [{}]{}}}", list(shape, "{}"),
                 curve.format == WeightFormat::bf16 ? "" : fmt::format("format: {}, ", name_of(curve.format)),
                 list(curve.along, "{:.6g}"), list(curve.ratio, "{:.3f}"),
                 dispatch.empty() ? "" : fmt::format(", dispatch_us: [{}]", list(dispatch, "{:.1f}"))));
  }
}

// Of curves whose shape the host's launches were timed at, point by point.
void add_dispatch(std::vector<Curve>& curves, const HostCosts& host) {
  for (Curve& curve : curves) {
    const auto known = host.gemm_dispatch.find({static_cast<std::int64_t>(curve.shape[0]),
                                                static_cast<std::int64_t>(curve.shape[1]),
                                                static_cast<std::int64_t>(curve.format)});
    if (known == host.gemm_dispatch.end()) continue;
    for (const double along : curve.along) {
      const auto time = known->second.find(static_cast<std::int64_t>(along));
      if (time != known->second.end()) curve.dispatch.push_back(time->second);
    }
    if (curve.dispatch.size() != curve.along.size()) curve.dispatch.clear();
  }
}

}  // namespace

Fit fit_platform(const Measurement& m, const FitOptions& options) try {
  m.check_times();
  Text out{"", options.file};
  const HostCosts host = fit_host(m);
  const std::optional<FittedPower> power = fit_power(m);
  const double event_time = single(m, "call/small_kernel_and_event") - single(m, "call/small_kernel");

  out.line(0, "name: " + quoted(options.name));
  out.line(0, "description: " + quoted(options.description));
  out.line(0,
           fmt::format("# Fitted by specmoe-calibrate fit to {}: {}, driver {}, CUDA {}, {}, {}, commit {}.",
                       options.file, m.text("gpu"), m.text("driver"), m.text("cuda"), m.text("clocks"),
                       m.text("date"), m.text("commit")));
  out.line(0, "\nmemories:");
  double host_rate = 0;
  for (const MeasuredPoint& point : m["host/memory"].points)
    host_rate = std::max(host_rate, 2 * 0x1p26 / point.median());
  out.line(1, "dram:");
  out.line(2, "kind: host");
  out.value(2, "capacity", fmt::format("{:.0f} B", m.number("host_memory_bytes")),
            "as the operating system tells");
  out.value(2, "reserved", "4 GB", "assumed: operating system", true);
  out.value(2, "read", gb(host_rate),
            out.from("host/memory: copies, read and written bytes, best number of threads"));
  out.value(2, "write", gb(host_rate), "as read");
  out.line(1, "vram:");
  out.line(2, "kind: device");
  out.value(2, "capacity", fmt::format("{:.0f} B", m.number("memory_bytes")), "as the driver tells");
  out.value(2, "reserved", fmt::format("{:.0f} B", m.number("memory_bytes") - m.number("memory_free_bytes")),
            "not free after the context was made");
  out.value(2, "read", gb(m.number("memory_peak")), "peak: memory clock and bus width as the driver tells");
  out.value(2, "write", gb(m.number("memory_peak")), "as read");
  const std::map<std::int64_t, double> within = medians(m, "copy/train", {2});
  if (!within.empty()) {
    const Direction copies = fit_within(within, event_time);
    const std::string of_train = samples(m, "copy/train", {2});
    out.line(2, "copies:");
    out.value(3, "bandwidth", gb(copies.bandwidth.value),
              out.from("copy/train, within, from 128 MiB") + of_train);
    out.value(3, "latency", "0 us", "alone no longer than in a train");
    out.value(3, "half_size", fmt::format("{} B", copies.half_size.count),
              out.from("copy/train, within, up to 16 MiB, beyond the bandwidth") + of_train);
  }

  const bool has_disk = m.has("host/disk");
  double disk_rate = 0;
  if (has_disk)
    for (const MeasuredPoint& point : m["host/disk"].points)
      disk_rate = std::max(disk_rate, static_cast<double>(point.parameters.at(0)) / point.median());
  if (has_disk) {
    out.line(1, "nvme:");
    out.line(2, "kind: disk");
    out.value(2, "capacity", "2 TB", "assumed", true);
    out.value(2, "reserved", "0 B", "none");
    out.value(2, "read", gb(disk_rate), out.from("host/disk, the faster block size"));
    out.value(2, "write", gb(disk_rate), "as read", true);
  }

  const auto direction = [&](std::int64_t way) {
    return fit_direction(medians(m, "copy/one", {way}), medians(m, "copy/train", {way}), event_time);
  };
  const double copy_calls = (host.calls.copy + host.calls.record).value;
  const auto pageable = [&](std::int64_t way) {
    return fit_pageable(medians(m, "copy/pageable_train", {way}), copy_calls);
  };
  double duplex = 0;
  const Direction forward = direction(0), backward = direction(1);
  for (const std::int64_t way : {0, 1})
    duplex += static_cast<double>(1 << 28) / medians(m, "copy/both_ways", {way}).at(1 << 28);
  duplex = std::clamp(duplex, std::max(forward.bandwidth, backward.bandwidth).value,
                      forward.bandwidth.value + backward.bandwidth.value);
  out.line(0, "\nlinks:");
  out.line(1, "pcie:");
  out.line(2, "between: [dram, vram]");
  out.value(2, "duplex", gb(std::floor(duplex * 1e-6) * 1e6),
            out.from("copy/both_ways, 256 MiB") + samples(m, "copy/both_ways"));
  const auto write_direction = [&](const char* key, const Direction& d, const std::string& source,
                                   const std::string& one, const std::string& train, std::int64_t way) {
    const std::string of_train = samples(m, train, {way});
    out.line(2, std::string(key) + ":");
    out.value(3, "bandwidth", gb(d.bandwidth.value), source + ", from 8 MiB" + of_train);
    out.value(
        3, "latency", us(d.latency.value),
        source + (one == train ? ", the smallest" : ", alone, beyond a train's") + samples(m, one, {way}));
    out.value(3, "half_size", fmt::format("{} B", d.half_size.count),
              source + ", up to 4 MiB, beyond the bandwidth" + of_train);
    if (d.inline_size > Bytes{0})
      out.value(3, "inline_size", fmt::format("{} B", d.inline_size.count),
                source + ": alone no longer than in a train");
    if (power && one != train)
      out.value(3, "energy", fmt::format("{:.4g} pJ/B", (way == 0 ? power->in : power->out).value * 1e12),
                out.from(power->experiment + " and power/rate: the board beyond idle"));
  };
  write_direction("forward", forward, out.from("copy/one and copy/train, in"), "copy/one", "copy/train", 0);
  write_direction("backward", backward, out.from("copy/one and copy/train, out"), "copy/one", "copy/train",
                  1);
  write_direction("pageable_forward", pageable(0), out.from("copy/pageable_train, in"), "copy/pageable_train",
                  "copy/pageable_train", 0);
  write_direction("pageable_backward", pageable(1), out.from("copy/pageable_train, out"),
                  "copy/pageable_train", "copy/pageable_train", 1);

  if (has_disk) {
    // The disk is the slower: its link only joins it to the memory.
    out.line(1, "m2:");
    out.line(2, "between: [nvme, dram]");
    const double way_rate = std::ceil(2 * disk_rate * 1e-7) * 1e7;  // so that both ways as printed add up
    out.value(2, "duplex", gb(2 * way_rate), "twice the disk's rate each way: the disk is slower", true);
    for (const char* way : {"forward", "backward", "pageable_forward", "pageable_backward"}) {
      out.line(2, std::string(way) + ":");
      out.value(3, "bandwidth", gb(way_rate), "twice the disk's rate: the disk is slower", true);
      out.value(3, "latency", "80 us", "assumed: latency of an NVMe read", true);
      out.value(3, "half_size", "0 B", "assumed", true);
    }
  }

  const auto rate = std::find_if(std::begin(kTensorRates), std::end(kTensorRates), [&](const TensorRate& r) {
    return m.text("compute_capability") == r.capability;
  });
  if (rate == std::end(kTensorRates))
    throw InputError(options.file, 0,
                     "no peak rate known for compute capability " + m.text("compute_capability"),
                     "a line for it in fit.cpp's kTensorRates");
  const double clocks = m.number("multiprocessors") * m.number("clock_khz") * 1e3;
  const auto peak = [&](const char* key, double each) {
    out.value(3, key, fmt::format("{:.4g} TFLOP/s", each * clocks * 1e-12),
              fmt::format("peak: {:.0f} a clock and multiprocessor x {} x {:.0f} MHz", each,
                          m.text("multiprocessors"), m.number("clock_khz") * 1e-3));
  };
  out.line(0, "\ndevices:");
  out.line(1, "gpu:");
  out.line(2, "kind: gpu");
  out.line(2, "memory: vram");
  out.line(2, "peak:");
  peak("bf16", rate->bf16);
  if (rate->fp8 > 0) peak("fp8", rate->fp8);
  if (power) {
    out.line(2, "power:");
    const auto draws = [&](const char* key, Watts watts, PowerOf what, const char* doing) {
      out.value(3, key, fmt::format("{:.4g} W", watts.value),
                out.from(power->experiment + doing) +
                    samples(m, power->experiment, {static_cast<std::int64_t>(what)}));
    };
    draws("idle", power->gpu.idle, PowerOf::idle, ", a context open");
    draws("memory_bound", power->gpu.memory_bound, PowerOf::memory_bound, ", products of one row");
    draws("compute_bound", power->gpu.compute_bound, PowerOf::compute_bound, ", products of 4096 rows");
  }
  out.value(2, "l2", fmt::format("{:.0f} B", m.number("l2_bytes")), "as the driver tells");
  out.value(2, "multiprocessors", m.text("multiprocessors"), "as the driver tells");
  out.value(2, "event_time", us(event_time),
            out.from("call/small_kernel_and_event less call/small_kernel") +
                samples(m, "call/small_kernel_and_event"));
  out.value(2, "event_latency",
            us(std::max(0.0, single(m, "call/event_hop") - single(m, "call/small_kernel_and_event"))),
            out.from("call/event_hop less call/small_kernel_and_event"));
  out.line(2, "copy_slowdown:");
  out.value(3, "memory_bound", fmt::format("{:.3f}", slowdown(m, true)),
            out.from("overlap/kernel, copies in: median of seven kernels") + samples(m, "overlap/kernel"));
  out.value(3, "compute_bound", fmt::format("{:.3f}", slowdown(m, false)),
            out.from("overlap/kernel, copies in: median of two products") + samples(m, "overlap/kernel"));
  // The round trip of routing: launch, kernel, answer, event, notice. What the first four do not explain is the last.
  const double answer = (backward.latency + Bytes{64 + backward.half_size.count} / backward.bandwidth).value;
  const double notice = std::max(0.0, single(m, "call/routing_round_trip") - host.calls.launch.value -
                                          single(m, "call/small_kernel") - answer - event_time);
  out.line(2, "host_calls:");
  out.value(
      3, "launch", us(host.calls.launch.value),
      out.from("launch/* and call/mixed: the cheapest class, median over shapes") + samples(m, "call/mixed"));
  out.value(3, "copy", us(host.calls.copy.value),
            out.from("copy/call, median over sizes") + samples(m, "copy/call"));
  out.value(3, "record", us(host.calls.record.value), out.from("call/record") + samples(m, "call/record"));
  out.value(3, "wait", us(host.calls.wait.value), out.from("call/wait") + samples(m, "call/wait"));
  out.value(3, "synchronize", us(notice),
            out.from("call/routing_round_trip less launch, kernel, copy out and event") +
                samples(m, "call/routing_round_trip"));
  out.value(3, "work", us(host.calls.work.value),
            out.from("engine/call: the engine on a machine that does nothing") + samples(m, "engine/call"));
  out.line(2, "kernels:");

  // So far a platform with any kernels; then class by class.
  std::string neutral = out.yaml;
  for (const char* name : kKernelClasses)
    neutral += fmt::format(
        "      {}: {{floor: {{value: 2 us, source: s}}, memory_efficiency: {{value: 0.8, source: s}}, "
        "half_bytes: "
        "{{value: 1 MB, source: s}}, compute_efficiency: {{value: 0.6, source: s}}, tile_rows: {{value: 1, "
        "source: s}}}}\n",
        name);
  const std::string cpu =
      fmt::format(
          "  cpu:\n    kind: cpu\n    memory: dram\n    peak:\n      bf16: {{value: {:.3g} TFLOP/s, source: "
          "\"assumed: "
          "{} cores x 3 GHz x 32 operations a clock\", unverified: true}}\n",
          m.number("cores") * 3e9 * 32 * 1e-12, m.text("cores")) +
      (power ? kCpuPower : "");
  Platform platform = Platform::read(Yaml::parse(neutral + cpu, options.file));
  const DeviceId gpu = platform.first(Device::Kind::gpu);
  for (std::size_t i = 0; i < std::size(kKernelClasses); ++i) {
    const std::string experiment = std::string("kernels/") + kKernelClasses[i];
    std::vector<TimedKernel> kernels;
    for (const MeasuredPoint& point : m[experiment].points)
      if (!options.use || options.use(i, point.parameters))
        kernels.push_back({kernel_of(i, point.parameters), {point.median()}});
    FittedClass fitted = fit_kernels(platform, gpu, i, kernels);
    const std::string source = out.from(fmt::format("{}, {} points", experiment, kernels.size()));
    out.line(3, std::string(kKernelClasses[i]) + ":");
    out.value(4, "floor", "0 us", "start takes its place");
    out.value(4, "start", us(fitted.start.value), source + spread(fitted.start));
    out.value(4, "memory_efficiency", fmt::format("{:.4f}", fitted.memory_efficiency.value),
              source + spread(fitted.memory_efficiency));
    out.value(4, "half_bytes", fmt::format("{} B", fitted.saturation.half_bytes.count),
              source + spread(fitted.half_bytes));
    out.value(4, "compute_efficiency", fmt::format("{:.4f}", fitted.compute_efficiency.value),
              source + spread(fitted.compute_efficiency));
    out.value(4, "tile_rows", std::to_string(fitted.saturation.tile_rows), source);
    if (i == 2 || i == 4) {
      out.value(4, "block", us(fitted.block.value), source + spread(fitted.block));
      out.value(4, "serial", fmt::format("{:.4g} ns", fitted.serial.value * 1e9),
                source + spread(fitted.serial));
    }
    if (i == 2) out.value(4, "resident", std::to_string(fitted.saturation.resident), source);
    out.value(4, "dispatch", us(host.dispatch[i].value),
              out.from(std::string("launch/") + kKernelClasses[i] + " less host_calls.launch") +
                  (i == 0 ? "; of shapes not measured" : ""));
    if (i == 0) add_dispatch(fitted.curves, host);
    write_curves(out, fitted.curves, i, source + ": median over the roofline's time");
  }
  platform = Platform::read(Yaml::parse(out.yaml + cpu, options.file));
  out.value(2, "kernel_change", us(kernel_change(m, platform, gpu)),
            out.from("call/mixed on the GPU, beyond its kernels one by one: median of the small model's"));
  out.yaml += cpu + kCpuKernels;
  return {Platform::read(Yaml::parse(out.yaml, options.name + ".yaml")), out.yaml};
} catch (const std::out_of_range&) {  // of at
  throw InputError(options.file, 0, "an experiment without a point or parameter that the fit needs",
                   "what specmoe-calibrate measure writes");
}

}  // namespace specmoe
