// A Mixture-of-Experts transformer as shapes: parameters, bytes and kernels. Read from
// models/moe/specs/*.yaml.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/kernel.hpp"
#include "sim/base/units.hpp"
#include "sim/base/yaml.hpp"

namespace specmoe {

/// A routed expert: `layer` counts MoE layers only (0 .. moe_layers-1), as routing traces do.
struct ExpertId {
  std::int32_t layer = 0;
  std::int32_t expert = 0;
  friend auto operator<=>(const ExpertId&, const ExpertId&) = default;
};

/// A gated feed-forward network has three matrices (gate, up, down), an ungated one two.
struct FeedForward {
  std::int64_t intermediate = 0;
  bool gated = true;
};

/// Multi-head latent attention (DeepSeek-V2, 2405.04434): the cache holds, for all heads together, a latent of
/// `kv_lora` elements and a rotary key of `rope`. A head's query and key have `nope` + `rope` elements, its value
/// `value`.
struct LatentAttention {
  /// Width of the compressed query; 0 when queries come straight from the hidden state.
  std::int64_t q_lora = 0;
  std::int64_t kv_lora = 0, nope = 0, rope = 0, value = 0;
};

/// Heads and their width, of all blocks of a model, and what its attention has beside the four matrices.
struct AttentionShape {
  /// With latent attention: heads, heads, nope + rope.
  std::int64_t heads, kv_heads, head_dim;
  bool qkv_bias = false, output_bias = false, qk_norm = false, sinks = false;
  /// Rotary position embedding; T5 has instead a table [relative_buckets, heads] in the first block of each
  /// stack.
  bool rotary = true;
  std::int64_t relative_buckets = 0;
  /// Positions a sliding-window layer sees; 0 when there is none.
  std::int64_t window = 0;
  /// Width of a head's value and output; 0: head_dim.
  std::int64_t value_dim = 0;
  /// A gate of the output, as wide as that, projected from the same input.
  bool output_gate = false;
  std::optional<LatentAttention> latent{};

  std::int64_t values() const { return value_dim > 0 ? value_dim : head_dim; }
  /// Elements that a layer's cache holds a position.
  std::int64_t cached() const {
    return latent ? latent->kv_lora + latent->rope : kv_heads * (head_dim + values());
  }
};

/// What layers without attention mix positions with: Mamba, gated DeltaNet, linear attention, short convolutions.
/// A sequence keeps a state of one size, however long it is.
struct Recurrence {
  /// Columns of the input projections, together, and rows of the output projection.
  std::int64_t in = 0, out = 0;
  /// float32 elements a sequence and layer.
  std::int64_t state = 0;
  /// Parameters of a layer beside those: convolutions, decays, norms, low-rank projections.
  std::int64_t other = 0;
};

/// One transformer block.
struct Block {
  enum class Stack { encoder, decoder } stack = Stack::decoder;
  /// Index among MoE layers, or -1 for a dense feed-forward block.
  int moe_layer = -1;
  bool cross_attention = false;
  bool windowed = false;
  /// The mixer is a recurrence, not attention.
  bool recurrent = false;
  /// A mixer alone: neither experts nor a dense network follow.
  bool mixer_only = false;
};

/// What one step computes, summed over its sequences. An encoder-decoder model has one shape for its encoder
/// blocks, which run once, in prefill, over the prompt, and one for its decoder blocks.
struct StepShape {
  std::int64_t sequences = 0;
  /// New positions.
  std::int64_t tokens = 0;
  /// Positions in the KV cache after the step, summed over the sequences, and the (query, key) pairs attended
  /// to when every query sees all positions up to its own.
  std::int64_t kv_positions = 0, pairs = 0;
  /// The same with each sequence cut to the model's window, and the positions that the new queries read: a
  /// prefill reads more than it leaves in the cache.
  std::int64_t windowed_kv_positions = 0, windowed_pairs = 0, windowed_reads = 0;
  /// Decoder blocks of encoder-decoder models: encoder positions that cross-attention reads, summed over the
  /// sequences, and those of them whose cross-attention keys and values this step computes (the first decoder
  /// step).
  std::int64_t encoder_positions = 0, new_encoder_positions = 0;

  /// Adds a sequence of `context` cached positions that computes `tokens` new ones. @param window 0 for none.
  void add_sequence(std::int64_t context, std::int64_t tokens, std::int64_t window);
  /// Adds a sequence to an encoder's step: every position sees every other.
  void add_encoder_sequence(std::int64_t tokens);
};

/// Counts of parameters.
struct Parameters {
  double total = 0;
  /// Used for one token; without the input embedding's table (unless it is the LM head's too), as some
  /// vendors count; and without both.
  double active = 0, active_without_input_embedding = 0, active_without_embeddings = 0;
  /// Of the blocks that predict tokens beyond the next; in none of the above.
  double prediction = 0;
};

/// A model's shapes, and what follows from them: parameters, bytes, and the kernels of a step.
class MoeModel {
 public:
  /// @param name_or_file "qwen3-30b-a3b" for models/moe/specs/qwen3-30b-a3b.yaml, or a path.
  /// @throws InputError if there is no such model, or its specification is not sound (see model_read.cpp).
  static MoeModel load(const std::string& name_or_file) { return read(open(name_or_file)); }
  static Yaml open(const std::string& name_or_file);
  static MoeModel read(const Yaml& document);
  /// As a specification that `read` takes and that gives the same model.
  std::string written() const;

  /// `unverified` says which of the numbers no source confirms; empty when all are confirmed.
  std::string name, source, unverified, notes;
  std::vector<Block> blocks;  // in the order of execution; encoder blocks first
  std::int64_t hidden = 0, vocabulary = 0;
  bool tied_embeddings = false;
  AttentionShape attention{};
  /// Of layers with a window, where they have heads of their own.
  std::optional<AttentionShape> windowed_attention;
  std::optional<Recurrence> recurrence;
  int moe_layers = 0;
  std::int64_t experts = 0;  // routed, a layer
  std::int64_t top_k = 0;
  /// The routed experts lie in so many groups of equal size, and a token's are chosen among the best
  /// `expert_groups_kept` of them.
  std::int64_t expert_groups = 1, expert_groups_kept = 1;
  FeedForward expert;
  bool expert_bias = false, router_bias = false;
  std::optional<FeedForward> shared;  // all shared experts of a layer, fused
  bool shared_gate = false;
  std::optional<FeedForward> dense;
  /// Of the routed experts, of the embedding and the LM head, and of all else.
  WeightFormat expert_format = WeightFormat::bf16, embedding_format = WeightFormat::bf16,
               format = WeightFormat::bf16;
  /// What a file stores, where that is not what the formats say: bytes of a routed expert (their mean), and of all
  /// other weights.
  std::optional<Bytes> stored_expert, stored_resident;
  /// Blocks that predict tokens beyond the next: stored with the model, not run, and in none of its totals.
  std::int64_t prediction_blocks = 0;
  /// As published; 0 where none was. It follows a convention: "all",
  /// "without_input_embedding" or "without_embeddings".
  double published_total = 0, published_active = 0;
  std::string published_active_convention, published_source;

  /// The same model with its routed experts stored in another format.
  MoeModel with_expert_format(WeightFormat other) const;
  /// The model cut after so many blocks, for machines that cannot hold it whole.
  MoeModel with_first_blocks(std::int64_t count) const;

  const AttentionShape& attention_of(const Block& block) const {
    return block.windowed && windowed_attention ? *windowed_attention : attention;
  }
  bool encoder_decoder() const { return !blocks.empty() && blocks.front().stack == Block::Stack::encoder; }
  Parameters parameters() const;

  /// One routed expert, biases included.
  Bytes expert_bytes() const;
  /// All weights but the routed experts.
  Bytes resident_bytes() const;
  /// What sequences keep after a step of decoder blocks: keys and values or latents (bf16), cut to the window in
  /// windowed layers, those of cross-attention, and the states of recurrent layers (float32).
  Bytes kv_bytes(const StepShape& shape) const;
  /// Live activations of the widest layer for `tokens` new positions, expert inputs and outputs included, and
  /// logits.
  Bytes activation_bytes(std::int64_t tokens, std::int64_t sequences) const;

  // Kernels, in the order in which a stream runs them. `layer` for the timeline is the block's index. Biases
  // ride along in their GEMM. @throws std::logic_error for a block that does not exist or has no such part.
  /// Token embedding.
  std::vector<Kernel> embed(const StepShape& shape) const;
  /// Norm, QKV, rotary embedding, attention, output projection, residual with the norm of what follows; then
  /// the same of cross-attention where there is. Latent attention is computed in its absorbed form, against the
  /// latents themselves, for one query a sequence, and with keys and values decompressed for more. A recurrent block:
  /// norm, projections in, convolution, state update, projection out. @param shape of the encoder for encoder blocks,
  /// else of the decoder.
  std::vector<Kernel> attend(int block, const StepShape& shape) const;
  /// Router logits, top-k; where experts lie in groups, the best groups are found in the same kernel. Only for MoE
  /// blocks.
  std::vector<Kernel> route(int block, std::int64_t tokens) const;
  /// The router of MoE layer `moe_layer` applied early, for a look-ahead: router logits and top-k.
  std::vector<Kernel> look_ahead(int moe_layer, std::int64_t tokens) const;
  /// The dense feed-forward of a dense block and its residual, or the shared expert of a MoE block (empty if
  /// it has none, and for a mixer alone).
  std::vector<Kernel> feed_forward(int block, std::int64_t tokens) const;
  /// One routed expert over `rows` tokens.
  std::vector<Kernel> one_expert(int block, std::int32_t expert, std::int64_t rows) const;
  /// `groups` routed experts in grouped launches over `rows` (token, expert) pairs.
  std::vector<Kernel> grouped_experts(int block, std::int64_t groups, std::int64_t rows) const;
  /// Weighted sum of the experts' outputs and residual. Only for MoE blocks.
  std::vector<Kernel> combine(int block, std::int64_t tokens) const;
  /// Final norm, LM head and sampling for one position a sequence.
  std::vector<Kernel> head(std::int64_t sequences) const;
};

/// Names of models/moe/specs/*.yaml, sorted.
std::vector<std::string> model_names();

}  // namespace specmoe
