// The engine on a machine and a model that are small enough to follow by hand: routing written out, and a log.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/random_scenario.hpp"
#include "tests/machine/test_platform.hpp"
#include "tests/moe/tiny_model.hpp"

namespace specmoe::testing {

/// Routing written out: [row][layer][rank] of one request, prefill rows first.
class Script : public RoutingSource {
 public:
  /// @param weights [row][layer][rank]; empty for none
  Script(int layers, int experts, int top_k, std::int64_t prefill,
         std::vector<std::vector<std::int16_t>> rows, std::vector<std::vector<float>> weights = {})
      : layers_(layers),
        experts_(experts),
        top_k_(top_k),
        prefill_(prefill),
        rows_(std::move(rows)),
        weights_(std::move(weights)) {}
  int layers() const override { return layers_; }
  int experts() const override { return experts_; }
  int top_k() const override { return top_k_; }
  std::int64_t requests() const override { return 1; }
  RequestInfo request(std::int64_t) const override {
    return {prefill_, prefill_, static_cast<std::int64_t>(rows_.size()) - prefill_};
  }
  void read(std::int64_t, std::int64_t first, std::int64_t rows, std::span<std::int16_t> out) override {
    for (std::int64_t r = 0; r < rows; ++r)
      std::copy(rows_[static_cast<std::size_t>(first + r)].begin(),
                rows_[static_cast<std::size_t>(first + r)].end(), out.begin() + r * layers_ * top_k_);
  }
  bool has_weights() const override { return !weights_.empty(); }
  void read_weights(std::int64_t, std::int64_t first, std::int64_t rows, std::span<float> out) override {
    for (std::int64_t r = 0; r < rows; ++r)
      std::copy(weights_[static_cast<std::size_t>(first + r)].begin(),
                weights_[static_cast<std::size_t>(first + r)].end(), out.begin() + r * layers_ * top_k_);
  }
  std::string description() const override { return "script"; }

 private:
  int layers_, experts_, top_k_;
  std::int64_t prefill_;
  std::vector<std::vector<std::int16_t>> rows_;
  std::vector<std::vector<float>> weights_;
};

/// Two layers of four experts, top-2. An expert has 3 x 64 x 64 weights: 24,576 B.
inline const std::string kModel = R"(name: two
source: made up
hidden: 64
vocabulary: 100
tied_embeddings: false
format: bf16
decoder: {layers: 2, moe_layers: all}
attention: {heads: 2, kv_heads: 2, head_dim: 32}
experts: {routed: 4, top_k: 2, intermediate: 64, gated: true}
published: {total_billion: 1, source: made up}
)";

/// Copies and computed experts in the order of their starts.
struct Log : Totals, MachineObserver {
  void copy_ended(Stream, const CopyLabel& label, const Route&, Bytes, Seconds start, Seconds) override {
    if (label.expert >= 0)
      lines.emplace_back(start, fmt::format("{} L{} E{}", label.name, label.layer, label.expert));
  }
  void kernel_ended(Stream, const Kernel& kernel, Seconds start, Seconds) override {
    if (kernel.expert >= 0 && std::string(kernel.name).find("down") != std::string::npos)
      lines.emplace_back(start, fmt::format("expert L{} E{}", kernel.layer, kernel.expert));
    if (std::holds_alternative<GroupedGemm>(kernel.work)) ++grouped;
  }
  std::string text() {
    std::stable_sort(lines.begin(), lines.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string all;
    for (const auto& [date, line] : lines) all += line + "\n";
    return all;
  }
  std::vector<std::pair<Seconds, std::string>> lines;
  int grouped = 0;
};

inline EngineSettings settings_for(const MoeModel& model, std::int64_t slots) {
  EngineSettings s;
  s.gpu = kGpu;
  s.expert_home = kRam;
  s.grouped = Grouping::never;
  s.cache_capacity = model.expert_bytes() * slots;
  s.eviction = &eviction_named("lru");
  s.predictor = &predictor_named("none");
  return s;
}

}  // namespace specmoe::testing
