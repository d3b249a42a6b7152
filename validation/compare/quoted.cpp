#include "validation/compare/quoted.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "models/hardware/kernel_price.hpp"
#include "sim/base/isolated.hpp"
#include "sim/base/yaml.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

namespace {

// When the first copy of a stream began and its last ended.
struct CopySpan : MachineObserver {
  void copy_ended(Stream stream, const CopyLabel&, const Route&, Bytes, Seconds start, Seconds end) override {
    if (stream.index != watched.index) return;
    first = first < Seconds{0} ? start : first;
    last = end;
  }
  Stream watched;
  Seconds first{-1}, last{0};
};

// Mean time of one of four copies in a row between the CPU's memory and the GPU's, pinned; as bandwidth tests
// measure it, by events round a loop. Other copies keep the other direction busy meanwhile if both_ways.
double copy_time(const Platform& platform, bool in, Bytes size, bool both_ways) {
  constexpr int kCopies = 4;
  const DeviceId gpu = platform.first(Device::Kind::gpu);
  const MemoryId vram = platform[gpu].memory, dram = platform[platform.first(Device::Kind::cpu)].memory;
  const std::string bytes = run_isolated([&] {
    CopySpan span;
    simulate(
        platform,
        [&](Machine& machine) {
          span.watched = machine.open_stream(gpu, "measured");
          const Stream other = machine.open_stream(gpu, "other");
          for (int i = 0; i < (both_ways ? 2 * kCopies : 0); ++i)
            machine.copy(other, in ? vram : dram, in ? dram : vram, size, HostMemory::pinned);
          for (int i = 0; i < kCopies; ++i)
            machine.copy(span.watched, in ? dram : vram, in ? vram : dram, size, HostMemory::pinned);
        },
        &span);
    const double time = (span.last - span.first).value / kCopies;
    return std::string(reinterpret_cast<const char*>(&time), sizeof time);
  });
  double time = 0;
  std::memcpy(&time, bytes.data(), sizeof time);
  return time;
}

std::vector<std::int64_t> numbers(const Yaml& list, std::size_t many) {
  std::vector<std::int64_t> all;
  for (const Yaml& item : list.items()) all.push_back(item.integer(1, 1'000'000'000'000));
  if (all.size() != many) list.fail(fmt::format("{} whole numbers", many));
  return all;
}

WeightFormat format(const Yaml& name) {
  return name.choice<WeightFormat>(
      {{"bf16", WeightFormat::bf16}, {"int8", WeightFormat::int8}, {"int4", WeightFormat::int4}});
}

// One token of a dense decoder with SwiGLU, batch 1.
std::vector<Kernel> decode_step(const Yaml& y) {
  y.allow_only({"layers", "hidden", "heads", "kv_heads", "head_dim", "intermediate", "vocabulary", "context",
                "weights", "head_weights"});
  const auto get = [&](const char* key) { return y[key].integer(1, 1'000'000); };
  const std::int64_t hidden = get("hidden"), heads = get("heads"), kv_heads = get("kv_heads"),
                     dim = get("head_dim"), intermediate = get("intermediate"), context = get("context");
  const WeightFormat weights = format(y["weights"]);
  std::vector<Kernel> kernels;
  for (std::int64_t layer = 0; layer < get("layers"); ++layer) {
    kernels.push_back({Elementwise{1, hidden, 2, 2}});  // norm, with the residual
    kernels.push_back({Gemm{1, (heads + 2 * kv_heads) * dim, hidden, weights}});
    kernels.push_back({Elementwise{1, (heads + kv_heads) * dim, 1, 1}});  // rotary embedding
    kernels.push_back({Attention{1, 1, context, context, heads, kv_heads, dim}});
    kernels.push_back({Gemm{1, hidden, heads * dim, weights}});
    kernels.push_back({Elementwise{1, hidden, 2, 2}});
    kernels.push_back({Gemm{1, 2 * intermediate, hidden, weights}});
    kernels.push_back({Elementwise{1, intermediate, 2, 1}});  // SwiGLU
    kernels.push_back({Gemm{1, hidden, intermediate, weights}});
  }
  kernels.push_back({Gemm{1, get("vocabulary"), hidden, format(y["head_weights"])}});
  return kernels;
}

// Fills in what was measured and what is simulated.
void compare(const Platform& platform, const Yaml& item, Comparison& point) {
  if (const auto copy = item.find("copy")) {
    const bool in = copy->choice<bool>({{"in", true}, {"out", false}});
    if (platform[platform.first(Device::Kind::gpu)].memory ==
        platform[platform.first(Device::Kind::cpu)].memory)
      copy->fail("a platform on which CPU and GPU have a memory each");
    const Bytes size = item["size"].bytes({1});
    const auto both_ways = item.find("both_ways");
    point.measured = (size / item["bandwidth"].bandwidth()).value;
    point.simulated = copy_time(platform, in, size, both_ways && both_ways->boolean());
    return;
  }
  std::vector<Kernel> kernels;
  if (const auto gemm = item.find("gemm")) {
    const auto shape = numbers(*gemm, 3);
    kernels.push_back({Gemm{shape[0], shape[1], shape[2]}});
    point.measured = (flops(kernels[0]) / item["flop_rate"].flop_rate()).value;
  } else if (const auto elementwise = item.find("elementwise")) {
    const auto shape = numbers(*elementwise, 4);
    kernels.push_back({Elementwise{shape[0], shape[1], shape[2], shape[3]}});
    point.measured = (memory_traffic(kernels[0]) / item["bandwidth"].bandwidth()).value;
  } else {
    kernels = decode_step(item["decode_step"]);
    point.measured = 1 / item["tokens_per_second"].number(1e-3, 1e6);
  }
  KernelPrices prices(platform, platform.first(Device::Kind::gpu));
  for (const Kernel& kernel : kernels) point.simulated += prices.time(kernel).value;
}

}  // namespace

std::vector<Comparison> compare_quoted(const std::string& platform, const std::filesystem::path& file) {
  return compare_quoted(platform, Platform::load(platform), Yaml::load(file));
}

std::vector<Comparison> compare_quoted(const std::string& platform, const Platform& description,
                                       const Yaml& document) {
  document.allow_only({"figures"});
  std::vector<Comparison> all;
  const std::vector<std::string> known = platform_names();
  for (const Yaml& item : document["figures"].items()) {
    item.allow_only({"platform", "group", "label", "source", "copy", "size", "both_ways", "gemm",
                     "elementwise", "decode_step", "bandwidth", "flop_rate", "tokens_per_second"});
    item["source"].text();
    if (std::find(known.begin(), known.end(), item["platform"].text()) == known.end())
      item["platform"].fail_choice({known.begin(), known.end()});
    Comparison point{item["platform"].text(), "quoted", item["group"].text(), item["label"].text()};
    if (point.machine != platform) continue;
    compare(description, item, point);
    all.push_back(std::move(point));
  }
  return all;
}

}  // namespace specmoe
