#include "validation/compare/published.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>

#include "models/hardware/kernel_price.hpp"
#include "models/moe/routing/input_stream.hpp"
#include "sim/base/build_info.hpp"

namespace specmoe {

namespace {

using Row = std::map<std::string, std::string>;

std::int64_t count(const Row& row, const std::string& column) { return std::stoll(row.at(column)); }

struct Table {
  std::string platform, group, file;
  std::string column;  // of the measured time
  double unit;         // of the measured time, in s
  /// The row's kernels; none for rows to leave out.
  std::function<std::vector<Kernel>(const Row&)> kernels;
  /// Columns that name a row, as a reader sees them.
  std::vector<std::pair<std::string, std::string>> label;
  enum class FittedOn {
    every_second_row,
    every_second_shape,
    nothing
  } fitted_on = FittedOn::every_second_row;
  /// Columns that make a shape, of which every second in the order of the file was fitted on.
  std::vector<std::string> shape = {};
  /// Narrows what is scored to a class of the rows not fitted on.
  std::function<bool(const Row&)> scored = [](const Row&) { return true; };
};

/// An MoE layer's three kernels; so many experts are used if each token chooses k of them evenly.
std::vector<Kernel> moe_layer(std::int64_t tokens, std::int64_t k, std::int64_t experts, std::int64_t hidden,
                              std::int64_t intermediate) {
  const double share = static_cast<double>(k) / static_cast<double>(experts);
  const double used = static_cast<double>(experts) * (1 - std::pow(1 - share, static_cast<double>(tokens)));
  const auto groups = static_cast<std::int64_t>(std::max(1.0, std::round(used)));
  return {{GroupedGemm{tokens * k, groups, 2 * intermediate, hidden}},
          {Elementwise{tokens * k, intermediate, 2, 1}},
          {GroupedGemm{tokens * k, groups, hidden, intermediate}}};
}

std::vector<Kernel> llama_gemm(const Row& row) {
  static const std::map<std::string, std::pair<int, int>> shapes{{"qkv_proj", {6144, 4096}},
                                                                 {"o_proj", {4096, 4096}},
                                                                 {"gate_up_proj", {28672, 4096}},
                                                                 {"down_proj", {4096, 14336}}};
  const auto shape = shapes.find(row.at("layer"));
  if (shape == shapes.end()) return {};
  return {{Gemm{count(row, "tokens"), shape->second.first, shape->second.second}}};
}

std::vector<Kernel> llama_elementwise(const Row& row) {
  // SwiGLU reads gate and up; a norm reads and writes the residual too
  static const std::map<std::string, std::array<int, 3>> shapes{{"act_fn", {14336, 2, 1}},
                                                                {"layernorm", {4096, 2, 2}},
                                                                {"final_layernorm", {4096, 2, 2}},
                                                                {"rotary_emb", {5120, 1, 1}},
                                                                {"embedding", {4096, 1, 1}}};
  const auto shape = shapes.find(row.at("layer"));
  if (shape == shapes.end()) return {};
  const auto& [width, reads, writes] = shape->second;
  return {{Elementwise{count(row, "tokens"), width, reads, writes}}};
}

std::vector<Kernel> llama_attention(const Row& row) {
  const std::int64_t chunk = count(row, "prefill_chunk"), cached = count(row, "kv_prefill");
  const std::int64_t n = count(row, "n_decode"), kv = count(row, "kv_decode");
  if ((chunk > 0) == (n > 0)) return {};  // mixed batches are not what the engine runs
  if (n > 0) return {{Attention{n, n, n * kv, n * kv, 32, 8, 128}}};
  return {{Attention{1, chunk, chunk + cached, chunk * cached + chunk * (chunk + 1) / 2, 32, 8, 128}}};
}

std::vector<Kernel> llama_head(const Row& row) {
  if (row.at("layer") != "lm_head") return {};
  return {{Gemm{count(row, "sequences"), 128256, 4096}}};
}

std::vector<Kernel> a100_gemm(const Row& row) {
  const std::int64_t n = count(row, "n"), k = count(row, "k");
  if (n * k < 2'000'000) return {};  // smaller weights are in the L2 cache
  return {{Gemm{count(row, "m"), n, k}}};
}

std::vector<Kernel> a100_moe(const Row& row) {
  if (row.at("moe_dtype") != "bfloat16" || row.at("moe_tp_size") != "1" || row.at("moe_ep_size") != "1")
    return {};
  return moe_layer(count(row, "num_tokens"), count(row, "topk"), count(row, "num_experts"),
                   count(row, "hidden_size"), count(row, "inter_size"));
}

std::vector<Kernel> a100_attention(const Row& row) {
  if (row.at("kv_cache_dtype") != "bfloat16") return {};
  const std::int64_t n = count(row, "batch_size"), kv = n * (count(row, "isl") + count(row, "step"));
  return {{Attention{n, n, kv, kv, count(row, "num_heads"), count(row, "num_key_value_heads"),
                     count(row, "head_dim")}}};
}

std::vector<Kernel> frontier_moe(const Row& row) {
  if (row.at("expert_parallel_size") != "1") return {};
  return moe_layer(count(row, "num_tokens"), count(row, "router_topk"), count(row, "num_experts"),
                   count(row, "hidden_dim"),
                   count(row, "expert_hidden_dim") / count(row, "num_tensor_parallel_workers"));
}

const std::vector<Table>& tables() {
  static const std::string llama = "rtx4090_llama-3.1-8b_bf16_", a100 = "a100_sxm__";
  using Label = std::vector<std::pair<std::string, std::string>>;
  static const Label layer{{"layer", ""}, {"tokens", "tokens "}};
  static const Label attention{
      {"prefill_chunk", "chunk "}, {"kv_prefill", "after "}, {"n_decode", "decoding "}, {"kv_decode", "at "}};
  static const Label moe{{"num_tokens", "tokens "}, {"num_experts", "experts "}, {"topk", "k "},
                         {"hidden_size", "h "},     {"inter_size", "f "},        {"distribution", ""}};
  static const std::vector<std::string> moe_shape{"hidden_size", "inter_size", "topk", "num_experts"};
  using FittedOn = Table::FittedOn;
  static const std::vector<Table> all{
      {"rtx4090", "gemm", llama + "dense.csv.gz", "time_us", 1e-6, llama_gemm, layer},
      {"rtx4090", "elementwise", llama + "dense.csv.gz", "time_us", 1e-6, llama_elementwise, layer},
      {"rtx4090",
       "attention decode",
       llama + "attention.csv.gz",
       "time_us",
       1e-6,
       llama_attention,
       attention,
       FittedOn::every_second_row,
       {},
       [](const Row& row) { return count(row, "n_decode") > 0; }},
      {"rtx4090",
       "attention prefill",
       llama + "attention.csv.gz",
       "time_us",
       1e-6,
       llama_attention,
       attention,
       FittedOn::every_second_row,
       {},
       [](const Row& row) { return count(row, "prefill_chunk") > 0; }},
      {"rtx4090",
       "lm head",
       llama + "per_sequence.csv.gz",
       "time_us",
       1e-6,
       llama_head,
       {{"sequences", "sequences "}},
       FittedOn::nothing},
      {"a100_sxm_80gb",
       "gemm",
       a100 + "gemm__vllm__0.14.0__gemm_perf.csv.gz",
       "latency",
       1e-3,
       a100_gemm,
       {{"m", "m "}, {"n", "n "}, {"k", "k "}}},
      {"a100_sxm_80gb", "moe layer", a100 + "moe__vllm__0.14.0__moe_perf.csv.gz", "latency", 1e-3, a100_moe,
       moe, FittedOn::every_second_shape, moe_shape},
      {"a100_sxm_80gb",
       "attention decode",
       a100 + "attention__vllm__0.14.0__generation_attention_perf.csv.gz",
       "latency",
       1e-3,
       a100_attention,
       {{"batch_size", "batch "},
        {"isl", "prompt "},
        {"step", "step "},
        {"num_heads", "heads "},
        {"num_key_value_heads", "KV heads "},
        {"head_dim", "dim "}}},
      {"a100_sxm_80gb",
       "moe layer of Mixtral",
       "a100_mixtral-8x7b_moe_frontier.csv.gz",
       "time_stats.moe_grouped_gemm.median",
       1e-3,
       frontier_moe,
       {{"num_tokens", "tokens "}, {"num_tensor_parallel_workers", "one share of "}},
       FittedOn::nothing}};
  return all;
}

void compare(const Platform& platform, const Table& table, const std::filesystem::path& folder,
             std::vector<Comparison>& out) {
  KernelPrices prices(platform, platform.first(Device::Kind::gpu));
  InputStream in(folder / table.file);
  std::string line;
  in.line(line);
  const std::vector<std::string> names = csv_fields(line);
  const auto values = [](const Row& row, const std::vector<std::string>& columns) {
    std::vector<std::string> all;
    for (const std::string& column : columns) all.push_back(row.at(column));
    return all;
  };
  std::map<std::vector<std::string>, std::size_t> shapes;
  for (std::size_t rows = 0; in.line(line);) try {
      const std::vector<std::string> fields = csv_fields(line);
      Row row;
      for (std::size_t i = 0; i < names.size(); ++i) row[names[i]] = fields.at(i);
      const std::vector<Kernel> kernels = table.kernels(row);
      if (kernels.empty()) continue;
      std::size_t turn = 1;
      if (table.fitted_on == Table::FittedOn::every_second_row) turn = rows++;
      if (table.fitted_on == Table::FittedOn::every_second_shape)
        turn = shapes.try_emplace(values(row, table.shape), shapes.size()).first->second;
      if (turn % 2 == 0 || !table.scored(row)) continue;
      Comparison point{
          table.platform, "published", table.group, "", std::stod(row.at(table.column)) * table.unit, 0};
      for (const auto& [column, name] : table.label)
        point.label += fmt::format("{}{}{}", point.label.empty() ? "" : ", ", name, row.at(column));
      for (const Kernel& kernel : kernels) point.simulated += prices.time(kernel).value;
      out.push_back(std::move(point));
    } catch (const std::logic_error&) {  // out_of_range and invalid_argument of at, stoll and stod
      in.fail("is no row of the table", fmt::format("{} fields with numbers", names.size()));
    }
}

}  // namespace

std::filesystem::path published_folder() { return home() / "../shared/data/published-kernels"; }

std::vector<Comparison> compare_published(const std::string& platform, const std::filesystem::path& folder) {
  std::vector<Comparison> all;
  if (!std::filesystem::is_directory(folder)) return all;
  const Platform description = Platform::load(platform);
  for (const Table& table : tables())
    if (table.platform == platform) compare(description, table, folder, all);
  return all;
}

}  // namespace specmoe
