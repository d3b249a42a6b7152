// What each part of a block computes, kernel by kernel, as engines with fused QKV, gate-up and residual-norm
// launch it.
#include <algorithm>
#include <stdexcept>

#include "models/moe/model.hpp"

namespace specmoe {

namespace {

/// Kernels of one layer, in order.
struct Launches {
  std::int32_t layer = -1;
  std::int32_t expert = -1;
  std::vector<Kernel> list{};

  template <class Work>
  void add(const char* name, const Work& work) {
    if (list.empty()) list.reserve(8);
    list.push_back({work, name, layer, expert});
  }
};

/// Names of a feed-forward network's kernels.
struct Names {
  const char *up, *activation, *down;
};

/// Up (and gate, fused), activation, down. @param gemm makes a matrix product of (n, k).
template <class MakeGemm>
void add_feed_forward(Launches& launches, const Names& names, std::int64_t hidden, const FeedForward& shape,
                      std::int64_t rows, const MakeGemm& gemm) {
  const std::int64_t matrices_up = shape.gated ? 2 : 1;
  launches.add(names.up, gemm(matrices_up * shape.intermediate, hidden));
  launches.add(names.activation, Elementwise{rows, shape.intermediate, matrices_up, 1});
  launches.add(names.down, gemm(hidden, shape.intermediate));
}

/// The residual stream plus a part's output, and the norm of the sum for the next part: both are written.
Elementwise residual_norm(std::int64_t tokens, std::int64_t hidden) { return {tokens, hidden, 2, 2}; }

void require_moe(const MoeModel& model, int block) {
  if (model.blocks.at(block).moe_layer < 0) throw std::logic_error("a dense block was asked for its experts");
}

// Groups are found as experts are: the best of them one after another.
TopK top_k_of(const MoeModel& model, std::int64_t tokens) {
  return {tokens, model.experts, model.top_k + (model.expert_groups > 1 ? model.expert_groups_kept : 0)};
}

void add_cross_attention(Launches& launches, const MoeModel& model, const StepShape& shape,
                         bool first_decoder) {
  const AttentionShape& a = model.attention;
  const std::int64_t queries = a.heads * a.head_dim, fresh = shape.new_encoder_positions;
  if (fresh > 0 && first_decoder) launches.add("encoder_norm", Elementwise{fresh, model.hidden});
  if (fresh > 0)
    launches.add("cross_key_value", Gemm{fresh, 2 * a.kv_heads * a.head_dim, model.hidden, model.format});
  launches.add("cross_query", Gemm{shape.tokens, queries, model.hidden, model.format});
  // Exact when all sequences have equally many new tokens: a decoder starts from one token and makes one a
  // step.
  const std::int64_t pairs = shape.encoder_positions * shape.tokens / shape.sequences;
  launches.add("cross_attention", Attention{shape.sequences, shape.tokens, shape.encoder_positions, pairs,
                                            a.heads, a.kv_heads, a.head_dim});
  launches.add("cross_output", Gemm{shape.tokens, model.hidden, queries, model.format});
  launches.add("residual_norm", residual_norm(shape.tokens, model.hidden));
}

// Latent attention as SGLang and vLLM launch it: the projections of the hidden state fused, then the two ways of
// DeepSeek-V2 (2405.04434, 2.1).
void add_latent_attention(Launches& launches, const MoeModel& model, const StepShape& shape) {
  const AttentionShape& a = model.attention;
  const LatentAttention& l = a.latent.value();
  const WeightFormat format = model.format;
  const std::int64_t queries = a.heads * a.head_dim, tokens = shape.tokens;
  launches.add("latents",
               Gemm{tokens, (l.q_lora > 0 ? l.q_lora : queries) + l.kv_lora + l.rope, model.hidden, format});
  launches.add("latent_norm", Elementwise{tokens, l.q_lora + l.kv_lora});
  if (l.q_lora > 0) launches.add("query", Gemm{tokens, queries, l.q_lora, format});
  launches.add("rotary", Elementwise{tokens, (a.heads + 1) * l.rope});
  if (tokens == shape.sequences) {
    // Each head's query is taken into the latent space, and its output out of it.
    launches.add("absorb_query", GroupedGemm{tokens * a.heads, a.heads, l.kv_lora, l.nope, format});
    launches.add("attention", Attention{shape.sequences, tokens, shape.kv_positions, shape.pairs, a.heads, 1,
                                        l.kv_lora + l.rope, l.kv_lora, true});
    launches.add("absorb_value", GroupedGemm{tokens * a.heads, a.heads, l.value, l.kv_lora, format});
  } else {
    launches.add("key_value", Gemm{shape.kv_positions, a.heads * (l.nope + l.value), l.kv_lora, format});
    launches.add("attention", Attention{shape.sequences, tokens, shape.kv_positions, shape.pairs, a.heads,
                                        a.heads, a.head_dim, l.value});
  }
}

void add_attention(Launches& launches, const MoeModel& model, const Block& block, const StepShape& shape) {
  const AttentionShape& a = model.attention_of(block);
  const std::int64_t queries = a.heads * a.head_dim, keys = a.kv_heads * a.head_dim,
                     outputs = a.heads * a.values();
  const std::int64_t columns = queries + keys + a.kv_heads * a.values() + (a.output_gate ? outputs : 0);
  launches.add("qkv", Gemm{shape.tokens, columns, model.hidden, model.format});
  if (a.qk_norm) launches.add("qk_norm", Elementwise{shape.tokens, queries + keys});
  if (a.rotary) launches.add("rotary", Elementwise{shape.tokens, queries + keys});
  launches.add("attention", Attention{shape.sequences, shape.tokens,
                                      block.windowed ? shape.windowed_reads : shape.kv_positions,
                                      block.windowed ? shape.windowed_pairs : shape.pairs, a.heads,
                                      a.kv_heads, a.head_dim, a.value_dim});
  if (a.output_gate) launches.add("output_gate", Elementwise{shape.tokens, outputs, 2, 1});
}

// A scan works through a prompt in chunks (64 positions in Mamba-2's and gated DeltaNet's kernels), and reads and writes
// the state once a chunk. What it computes within a chunk is left out: next to its projections it is little.
void add_recurrence(Launches& launches, const MoeModel& model, const StepShape& shape) {
  constexpr std::int64_t kChunk = 64, kBf16InFloat = 2;
  const Recurrence& r = model.recurrence.value();
  launches.add("mixer_in", Gemm{shape.tokens, r.in, model.hidden, model.format});
  launches.add("convolution", Elementwise{shape.tokens, r.in});
  const std::int64_t chunks = std::max(shape.sequences, (shape.tokens + kChunk - 1) / kChunk);
  launches.add("state_update", Elementwise{chunks, r.state, kBf16InFloat, kBf16InFloat});
  launches.add("gated_norm", Elementwise{shape.tokens, r.out, 2, 1});
}

}  // namespace

std::vector<Kernel> MoeModel::embed(const StepShape& shape) const {
  Launches launches;
  launches.add("embed", Elementwise{shape.tokens, hidden});
  return launches.list;
}

std::vector<Kernel> MoeModel::attend(int index, const StepShape& shape) const {
  const Block& block = blocks.at(index);
  Launches launches{index};
  launches.add("norm", Elementwise{shape.tokens, hidden});
  if (block.recurrent)
    add_recurrence(launches, *this, shape);
  else if (attention.latent)
    add_latent_attention(launches, *this, shape);
  else
    add_attention(launches, *this, block, shape);
  const AttentionShape& a = attention_of(block);
  launches.add("output",
               Gemm{shape.tokens, hidden, block.recurrent ? recurrence->out : a.heads * a.values(), format});
  launches.add("residual_norm", residual_norm(shape.tokens, hidden));
  if (block.cross_attention)
    add_cross_attention(launches, *this, shape, blocks.at(index - 1).stack == Block::Stack::encoder);
  return launches.list;
}

std::vector<Kernel> MoeModel::route(int block, std::int64_t tokens) const {
  require_moe(*this, block);
  Launches launches{block};
  launches.add("router", Gemm{tokens, experts, hidden, format});
  launches.add("top_k", top_k_of(*this, tokens));
  return launches.list;
}

std::vector<Kernel> MoeModel::look_ahead(int moe_layer, std::int64_t tokens) const {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (moe_layer < 0 || blocks[i].moe_layer != moe_layer) continue;
    Launches launches{static_cast<std::int32_t>(i)};
    launches.add("look_ahead_router", Gemm{tokens, experts, hidden, format});
    launches.add("look_ahead_top_k", top_k_of(*this, tokens));
    return launches.list;
  }
  throw std::logic_error("look-ahead to a MoE layer that does not exist");
}

std::vector<Kernel> MoeModel::feed_forward(int block, std::int64_t tokens) const {
  const auto gemm = [&](std::int64_t n, std::int64_t k) { return Gemm{tokens, n, k, format}; };
  Launches launches{block};
  if (blocks.at(block).mixer_only) return launches.list;
  if (blocks.at(block).moe_layer < 0) {
    add_feed_forward(launches, {"dense_up", "dense_activation", "dense_down"}, hidden, dense.value(), tokens,
                     gemm);
    launches.add("residual", Elementwise{tokens, hidden, 2, 1});
  } else if (shared) {
    add_feed_forward(launches, {"shared_up", "shared_activation", "shared_down"}, hidden, *shared, tokens,
                     gemm);
    if (shared_gate) launches.add("shared_gate", gemm(1, hidden));
  }
  return launches.list;
}

std::vector<Kernel> MoeModel::one_expert(int block, std::int32_t expert_index, std::int64_t rows) const {
  require_moe(*this, block);
  Launches launches{block, expert_index};
  const auto gemm = [&](std::int64_t n, std::int64_t k) { return Gemm{rows, n, k, expert_format}; };
  add_feed_forward(launches, {"expert_up", "expert_activation", "expert_down"}, hidden, expert, rows, gemm);
  return launches.list;
}

std::vector<Kernel> MoeModel::grouped_experts(int block, std::int64_t groups, std::int64_t rows) const {
  require_moe(*this, block);
  Launches launches{block};
  const auto gemm = [&](std::int64_t n, std::int64_t k) {
    return GroupedGemm{rows, groups, n, k, expert_format};
  };
  add_feed_forward(launches, {"experts_up", "experts_activation", "experts_down"}, hidden, expert, rows,
                   gemm);
  return launches.list;
}

std::vector<Kernel> MoeModel::combine(int block, std::int64_t tokens) const {
  require_moe(*this, block);
  Launches launches{block};
  launches.add("combine", Elementwise{tokens, hidden, top_k + (shared ? 1 : 0) + 1, 1});
  return launches.list;
}

std::vector<Kernel> MoeModel::head(std::int64_t sequences) const {
  Launches launches;
  launches.add("final_norm", Elementwise{sequences, hidden});
  launches.add("lm_head", Gemm{sequences, vocabulary, hidden, embedding_format});
  launches.add("sampling", TopK{sequences, vocabulary, 1});
  return launches.list;
}

}  // namespace specmoe
