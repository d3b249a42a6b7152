// Models small enough to count by hand, and kernels as text.
#pragma once
#include <fmt/format.h>

#include <string>
#include <variant>
#include <vector>

#include "models/moe/model.hpp"

namespace specmoe {

/// A decoder with every part there is: block 0 dense and windowed, block 1 with experts.
inline const std::string kTinyDecoder = R"(name: tiny
source: made up
hidden: 4
vocabulary: 10
tied_embeddings: false
format: bf16
decoder: {layers: 2, moe_layers: [1]}
attention:
  heads: 2
  kv_heads: 1
  head_dim: 2
  qkv_bias: true
  output_bias: true
  qk_norm: true
  sinks: true
  window: {positions: 3, layers: {first: 0, step: 2}}
experts: {routed: 4, top_k: 2, intermediate: 3, gated: true, bias: true, router_bias: true}
shared: {intermediate: 5, gated: false, gate: true}
dense: {intermediate: 6, gated: true}
published: {total_billion: 1, source: made up}
)";

/// Encoder and decoder of two blocks each, the second with experts.
inline const std::string kTinyEncoderDecoder = R"(name: tiny-t5
source: made up
hidden: 4
vocabulary: 10
tied_embeddings: true
format: bf16
encoder: {layers: 2, moe_layers: [1]}
decoder: {layers: 2, moe_layers: [1]}
attention: {heads: 2, kv_heads: 2, head_dim: 2, rotary: false, relative_buckets: 8}
experts: {routed: 4, top_k: 1, intermediate: 3, gated: false}
dense: {intermediate: 6, gated: false}
published: {total_billion: 1, source: made up}
)";

inline MoeModel tiny(const std::string& text) { return MoeModel::read(Yaml::parse(text, "tiny.yaml")); }

/// "qkv: [3,4]x[4,8]", "attention: q3 kv5 pairs6", "norm: [3,4] r1 w1", ...
inline std::string describe(const Kernel& kernel) {
  struct Work {
    std::string operator()(const Gemm& g) const { return fmt::format("[{0},{2}]x[{2},{1}]", g.m, g.n, g.k); }
    std::string operator()(const GroupedGemm& g) const {
      return fmt::format("[{0},{2}]x{3}[{2},{1}]", g.rows, g.n, g.k, g.groups);
    }
    std::string operator()(const Attention& a) const {
      return fmt::format("q{} kv{} pairs{}", a.queries, a.kv_positions, a.pairs);
    }
    std::string operator()(const Elementwise& e) const {
      return fmt::format("[{},{}] r{} w{}", e.rows, e.width, e.reads, e.writes);
    }
    std::string operator()(const TopK& t) const { return fmt::format("[{},{}] k{}", t.rows, t.width, t.k); }
  };
  return fmt::format("{}: {}", kernel.name, std::visit(Work{}, kernel.work));
}

/// One kernel a line.
inline std::string describe(const std::vector<Kernel>& kernels) {
  std::string all;
  for (const Kernel& kernel : kernels) all += describe(kernel) + "\n";
  return all;
}

}  // namespace specmoe
