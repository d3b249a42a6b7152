#include <doctest/doctest.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "models/moe/routing/input_stream.hpp"
#include "tests/machine/test_platform.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

Seconds gemm(const Platform& p, std::int64_t m, std::int64_t n, std::int64_t k,
             WeightFormat weights = WeightFormat::bf16) {
  return kernel_time(p, p.first(Device::Kind::gpu), {Gemm{m, n, k, weights}});
}

}  // namespace

TEST_CASE("kernel time: the largest of the floor, the traffic and the padded arithmetic") {
  Platform p = test_platform();
  p.memories[2].read = {1e12};
  p.devices[1].peak[WeightFormat::bf16] = {100e12};
  p.devices[1].saturation[0] = {{5e-6}, 0.8, {1'000'000}, 0.5, 16};
  // traffic: (2 (1000 x 1000 + 1 x 2000) + 1e6) B / 0.8e12 B/s = 3.755 us, below the floor
  CHECK(gemm(p, 1, 1000, 1000).value == doctest::Approx(5e-6));
  // traffic: (2 (1e8 + 2e4) + 1e6) B / 0.8e12 B/s = 251.3 us
  CHECK(gemm(p, 1, 10'000, 10'000).value == doctest::Approx(251.3e-6).epsilon(1e-6));
  // arithmetic: 2 x 65 rows padded to 80 x 1e8 / 50e12 = 320 us
  CHECK(gemm(p, 65, 10'000, 10'000).value == doctest::Approx(320e-6).epsilon(1e-9));
}

TEST_CASE("kernel time: grouped experts fill whole tiles each, and stored formats save their traffic") {
  Platform p = test_platform();
  p.memories[2].read = {1e12};
  p.devices[1].peak[WeightFormat::bf16] = {1e12};
  p.devices[1].saturation[1] = {{0}, 1, {0}, 1, 16};
  const auto grouped = [&](std::int64_t rows, std::int64_t groups) {
    return kernel_time(p, kGpu, {GroupedGemm{rows, groups, 1000, 1000}}).value;
  };
  // 8 rows over 8 experts: each padded to 16: 2 x 128 x 1e6 / 1e12 = 256 us; over one expert: 32 us
  CHECK(grouped(8, 8) == doctest::Approx(256e-6));
  CHECK(grouped(8, 1) == doctest::Approx(32e-6));
  // 9 rows over 8 experts: one has 2 rows, still one tile, so as 8 over 8; 129 over 8: one has 17 rows, two
  // tiles, the others 16: 2 x (32 + 7 x 16) x 1e6 / 1e12 = 288 us
  CHECK(grouped(9, 8) == doctest::Approx(256e-6));
  CHECK(grouped(129, 8) == doctest::Approx(288e-6));
  // mxfp4: 4.25 bits of 16: 0.53125 B x 1e8 + activations
  p.devices[1].peak[WeightFormat::bf16] = {1e18};
  CHECK(gemm(p, 1, 10'000, 10'000, WeightFormat::mxfp4).value ==
        doctest::Approx((53'125'000 + 40'000) * 1e-12).epsilon(1e-9));
}

TEST_CASE("kernel time: one more row over the same experts never costs less") {
  // 9 rows over 8 experts once cost 144 us where 8 rows cost 256 us: the padding was that of the mean rows.
  Platform p = test_platform();
  p.memories[2].read = {1e15};  // bound by arithmetic, where padding counts
  p.devices[1].peak[WeightFormat::bf16] = {1e12};
  p.devices[1].saturation[1] = {{0}, 1, {0}, 1, 16};
  Seconds before;
  for (std::int64_t rows = 1; rows <= 1024; ++rows) {
    CAPTURE(rows);
    const Seconds time = kernel_time(p, kGpu, {GroupedGemm{rows, 8, 1000, 1000}});
    CHECK(time.value >= before.value * (1 - 1e-12));  // but for rounding
    before = time;
  }
}

TEST_CASE(
    "kernel time: on every platform it grows with the shape, decoding is bound by memory, prefill by "
    "arithmetic") {
  for (const std::string& name : platform_names()) {
    CAPTURE(name);
    const Platform p = Platform::load(name);
    const DeviceId gpu = p.first(Device::Kind::gpu);
    Seconds before;
    for (std::int64_t m = 1; m <= 4096; m *= 2) {
      CHECK(gemm(p, m, 4096, 4096) >= before);
      CHECK(gemm(p, m, 8192, 4096) >= gemm(p, m, 4096, 4096));
      CHECK(gemm(p, m, 4096, 8192) >= gemm(p, m, 4096, 4096));
      before = gemm(p, m, 4096, 4096);
    }
    const Seconds weights = Bytes{2 * 8192 * 8192} / p[p[gpu].memory].read;
    const Seconds arithmetic = Flops{2.0 * 4096 * 8192 * 8192} / p[gpu].peak.at(WeightFormat::bf16);
    CHECK(gemm(p, 1, 8192, 8192) / weights >= 1);
    CHECK(gemm(p, 1, 8192, 8192) / weights < 2);
    CHECK(gemm(p, 4096, 8192, 8192) / arithmetic >= 1);
    CHECK(gemm(p, 4096, 8192, 8192) / arithmetic < 2);
  }
}

namespace {

using Row = std::map<std::string, std::string>;

double number(const Row& row, const std::string& column) { return std::stod(row.at(column)); }
std::int64_t count(const Row& row, const std::string& column) { return std::stoll(row.at(column)); }

// Predicts each row's kernels; no kernels for rows to leave out. Of the others every second one was fitted
// on, the rest are scored.
struct Published {
  std::string file;
  double unit;  // of the measured time, in s
  std::string column;
  std::function<std::vector<Kernel>(const Row&)> kernels;
  // Columns that make a shape: where they are named, every second shape was fitted on instead, in the order
  // in which the file first shows them.
  std::vector<std::string> shape = {};
  // Narrows what is scored to a class of the rows not fitted on.
  std::function<bool(const Row&)> scored = [](const Row&) { return true; };
};

struct Score {
  double mean, median;
  std::size_t rows;
};

std::optional<Score> score(const Platform& p, const Published& table) {
  const auto file =
      std::filesystem::path(SPECMOE_SOURCE_DIR) / "../shared/data/published-kernels" / table.file;
  if (!std::filesystem::exists(file)) {
    MESSAGE("SKIPPED: no published kernel times beside the sources");
    return std::nullopt;
  }
  InputStream in(file);
  std::string line;
  in.line(line);
  const std::vector<std::string> names = csv_fields(line);
  std::vector<double> errors;
  std::map<std::vector<std::string>, std::size_t> shapes;
  for (std::size_t used = 0; in.line(line);) {
    const std::vector<std::string> fields = csv_fields(line);
    Row row;
    for (std::size_t i = 0; i < names.size(); ++i) row[names[i]] = fields.at(i);
    const std::vector<Kernel> kernels = table.kernels(row);
    if (kernels.empty()) continue;
    std::vector<std::string> shape;
    for (const std::string& name : table.shape) shape.push_back(row.at(name));
    const std::size_t turn = shape.empty() ? used++ : shapes.try_emplace(shape, shapes.size()).first->second;
    if (turn % 2 == 0 || !table.scored(row)) continue;
    Seconds sum;
    for (const Kernel& kernel : kernels) sum += kernel_time(p, p.first(Device::Kind::gpu), kernel);
    errors.push_back(std::abs(sum.value / (number(row, table.column) * table.unit) - 1));
  }
  std::sort(errors.begin(), errors.end());
  double mean = 0;
  for (const double e : errors) mean += e / static_cast<double>(errors.size());
  const Score result{mean, errors.at(errors.size() / 2), errors.size()};
  MESSAGE(table.file, ": ", errors.size(), " rows not fitted on, mean error ", 100 * result.mean,
          " %, median ", 100 * result.median, " %");
  return result;
}

}  // namespace

TEST_CASE(
    "kernel time: the RTX 4090's published GEMMs, elementwise kernels and attention at rows not fitted on") {
  const Platform p = Platform::load("rtx4090");
  const std::string dense = "rtx4090_llama-3.1-8b_bf16_dense.csv.gz";
  const auto gemms = score(
      p, {dense, 1e-6, "time_us", [](const Row& row) -> std::vector<Kernel> {
            static const std::map<std::string, std::pair<int, int>> shapes{{"qkv_proj", {6144, 4096}},
                                                                           {"o_proj", {4096, 4096}},
                                                                           {"gate_up_proj", {28672, 4096}},
                                                                           {"down_proj", {4096, 14336}}};
            const auto shape = shapes.find(row.at("layer"));
            if (shape == shapes.end()) return {};
            return {{Gemm{count(row, "tokens"), shape->second.first, shape->second.second}}};
          }});
  if (!gemms) return;
  CHECK(gemms->mean <= 0.05);
  CHECK(gemms->median <= 0.04);
  const auto elementwise = score(p, {dense, 1e-6, "time_us", [](const Row& row) -> std::vector<Kernel> {
                                       // SwiGLU reads gate and up; a norm reads and writes the residual too
                                       static const std::map<std::string, std::array<int, 3>> shapes{
                                           {"act_fn", {14336, 2, 1}},
                                           {"layernorm", {4096, 2, 2}},
                                           {"final_layernorm", {4096, 2, 2}},
                                           {"rotary_emb", {5120, 1, 1}},
                                           {"embedding", {4096, 1, 1}}};
                                       const auto shape = shapes.find(row.at("layer"));
                                       if (shape == shapes.end()) return {};
                                       const auto& [width, reads, writes] = shape->second;
                                       return {{Elementwise{count(row, "tokens"), width, reads, writes}}};
                                     }});
  CHECK(elementwise->mean <= 0.22);
  CHECK(elementwise->median <= 0.15);
  Published attention{
      "rtx4090_llama-3.1-8b_bf16_attention.csv.gz", 1e-6, "time_us",
      [](const Row& row) -> std::vector<Kernel> {
        const std::int64_t chunk = count(row, "prefill_chunk"), cached = count(row, "kv_prefill");
        const std::int64_t n = count(row, "n_decode"), kv = count(row, "kv_decode");
        if ((chunk > 0) == (n > 0)) return {};  // mixed batches are not what the engine runs
        if (n > 0) return {{Attention{n, n, n * kv, n * kv, 32, 8, 128}}};
        return {{Attention{1, chunk, chunk + cached, chunk * cached + chunk * (chunk + 1) / 2, 32, 8, 128}}};
      }};
  attention.scored = [](const Row& row) { return count(row, "n_decode") > 0; };
  const auto decode = score(p, attention);
  CHECK(decode->mean <= 0.15);
  CHECK(decode->median <= 0.10);
  // The worst are chunks of up to 128 against a cache of more than 1024: they take four times the price.
  attention.scored = [](const Row& row) { return count(row, "prefill_chunk") > 0; };
  const auto prefill = score(p, attention);
  CHECK(prefill->mean <= 0.35);
  CHECK(prefill->median <= 0.35);
}

TEST_CASE("kernel time: the A100's published GEMMs, MoE layers and decode attention at rows not fitted on") {
  const Platform p = Platform::load("a100_sxm_80gb");
  const auto gemms = score(p, {"a100_sxm__gemm__vllm__0.14.0__gemm_perf.csv.gz", 1e-3, "latency",
                               [](const Row& row) -> std::vector<Kernel> {
                                 const std::int64_t n = count(row, "n"), k = count(row, "k");
                                 if (n * k < 2'000'000) return {};  // smaller weights are in the L2 cache
                                 return {{Gemm{count(row, "m"), n, k}}};
                               }});
  if (!gemms) return;
  CHECK(gemms->mean <= 0.14);
  CHECK(gemms->median <= 0.11);
  const auto moe =
      score(p, {"a100_sxm__moe__vllm__0.14.0__moe_perf.csv.gz",
                1e-3,
                "latency",
                [](const Row& row) -> std::vector<Kernel> {
                  if (row.at("moe_dtype") != "bfloat16" || row.at("moe_tp_size") != "1" ||
                      row.at("moe_ep_size") != "1")
                    return {};
                  const std::int64_t tokens = count(row, "num_tokens"), k = count(row, "topk"),
                                     experts = count(row, "num_experts");
                  const std::int64_t h = count(row, "hidden_size"), inter = count(row, "inter_size");
                  const double share = static_cast<double>(k) / static_cast<double>(experts);
                  const auto used = static_cast<std::int64_t>(
                      std::max(1.0, std::round(static_cast<double>(experts) *
                                               (1 - std::pow(1 - share, static_cast<double>(tokens))))));
                  return {{GroupedGemm{tokens * k, used, 2 * inter, h}},
                          {Elementwise{tokens * k, inter, 2, 1}},
                          {GroupedGemm{tokens * k, used, h, inter}}};
                },
                {"hidden_size", "inter_size", "topk", "num_experts"}});
  CHECK(moe->mean <= 0.20);
  CHECK(moe->median <= 0.15);
  const auto attention =
      score(p, {"a100_sxm__attention__vllm__0.14.0__generation_attention_perf.csv.gz", 1e-3, "latency",
                [](const Row& row) -> std::vector<Kernel> {
                  if (row.at("kv_cache_dtype") != "bfloat16") return {};
                  const std::int64_t n = count(row, "batch_size"),
                                     kv = n * (count(row, "isl") + count(row, "step"));
                  return {{Attention{n, n, kv, kv, count(row, "num_heads"), count(row, "num_key_value_heads"),
                                     count(row, "head_dim")}}};
                }});
  CHECK(attention->mean <= 0.28);
  CHECK(attention->median <= 0.16);
}

TEST_CASE(
    "kernel time: small formats store weights only, fp8 is multiplied in fp8, the L2 cache speeds up what "
    "fits") {
  Platform p = test_platform();
  p.memories[2].read = {1e15};
  p.devices[1].peak = {
      {WeightFormat::bf16, {1e12}}, {WeightFormat::fp8, {2e12}}, {WeightFormat::int8, {4e12}}};
  // 2 x 1e8 operations
  CHECK(gemm(p, 100, 1000, 1000).value == doctest::Approx(200e-6));
  CHECK(gemm(p, 100, 1000, 1000, WeightFormat::int8).value == doctest::Approx(200e-6));
  CHECK(gemm(p, 100, 1000, 1000, WeightFormat::fp8).value == doctest::Approx(100e-6));
  p.memories[2].read = {1e9};
  p.devices[1].saturation[3].memory_efficiency = 2;
  p.devices[1].l2 = {10'000'000};
  const auto elementwise = [&](std::int64_t rows) {
    return kernel_time(p, kGpu, {Elementwise{rows, 1, 1, 0}}).value;
  };
  // 8 MB at 2 GB/s = 4 ms; 30 MB: 10 MB at 2 GB/s and 20 MB at 1 GB/s = 25 ms
  CHECK(elementwise(4'000'000) == doctest::Approx(4e-3));
  CHECK(elementwise(15'000'000) == doctest::Approx(25e-3));
}
