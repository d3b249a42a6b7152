// Parameters and bytes of a model.
#include "models/moe/model.hpp"

#include <algorithm>

namespace specmoe {

namespace {

constexpr std::int64_t kBf16 = 2, kFloat = 4;  // bytes

/// Weights of matrices, stored in their part's format, and of vectors (norms, biases, sinks), always bf16.
struct Count {
  std::int64_t matrix = 0, vector = 0;
  std::int64_t all() const { return matrix + vector; }
  Bytes bytes(WeightFormat format) const { return weight_bytes(matrix, format) + Bytes{kBf16 * vector}; }
  Count& operator+=(Count other) {
    matrix += other.matrix;
    vector += other.vector;
    return *this;
  }
};

Count count_feed_forward(std::int64_t hidden, const FeedForward& shape, bool bias) {
  const std::int64_t up = (shape.gated ? 2 : 1) * shape.intermediate;
  return {hidden * (up + shape.intermediate), bias ? up + hidden : 0};
}

/// The projections of latent attention.
std::int64_t count_latent(const MoeModel& model, const AttentionShape& a) {
  const LatentAttention& l = *a.latent;
  const std::int64_t queries = a.heads * (l.nope + l.rope);
  const std::int64_t to_queries =
      l.q_lora > 0 ? model.hidden * l.q_lora + l.q_lora * queries : model.hidden * queries;
  return to_queries + model.hidden * (l.kv_lora + l.rope) + l.kv_lora * a.heads * (l.nope + l.value) +
         a.heads * l.value * model.hidden;
}

/// Projections of one attention, its norm before and its small vectors.
Count count_attention(const MoeModel& model, const AttentionShape& a) {
  const std::int64_t outputs = a.heads * a.values();
  const std::int64_t qkv = a.heads * a.head_dim + a.kv_heads * (a.head_dim + a.values());
  Count count{a.latent ? count_latent(model, a) : model.hidden * (qkv + outputs), model.hidden};
  if (a.latent) count.vector += a.latent->q_lora + a.latent->kv_lora;  // their norms
  if (a.output_gate) count.matrix += model.hidden * outputs;
  if (a.qkv_bias) count.vector += qkv;
  if (a.output_bias) count.vector += model.hidden;
  if (a.qk_norm) count.vector += 2 * a.head_dim;
  if (a.sinks) count.vector += a.heads;
  return count;
}

/// What a block mixes positions with, and the norm before it.
Count count_mixer(const MoeModel& model, const Block& block) {
  if (!block.recurrent) return count_attention(model, model.attention_of(block));
  const Recurrence& r = model.recurrence.value();
  return {model.hidden * (r.in + r.out), model.hidden + r.other};
}

Count count_expert(const MoeModel& model) {
  return count_feed_forward(model.hidden, model.expert, model.expert_bias);
}

/// All but the routed experts of one block.
Count count_resident(const MoeModel& model, const Block& block) {
  Count count = count_mixer(model, block);
  if (block.mixer_only) return count;
  if (block.cross_attention) count += count_attention(model, model.attention);
  count.vector += model.hidden;  // norm before the feed-forward
  if (block.moe_layer < 0) {
    count += count_feed_forward(model.hidden, model.dense.value(), false);
    return count;
  }
  count += {model.hidden * model.experts, model.router_bias ? model.experts : 0};
  if (model.shared) count += count_feed_forward(model.hidden, *model.shared, false);
  if (model.shared_gate) count.matrix += model.hidden;
  return count;
}

/// The embedding, and the LM head unless it is the same.
Count count_embeddings(const MoeModel& model) {
  return {(model.tied_embeddings ? 1 : 2) * model.vocabulary * model.hidden, 0};
}

/// All but routed experts and embeddings.
Count count_resident(const MoeModel& model) {
  Count count;
  for (const Block& block : model.blocks) count += count_resident(model, block);
  const std::int64_t stacks = model.encoder_decoder() ? 2 : 1;
  count.vector += stacks * (model.hidden + model.attention.relative_buckets * model.attention.heads);
  return count;
}

/// Of the blocks that predict tokens beyond the next: each is a block like the last one, with the norms of the hidden
/// state and of the next token's embedding, the projection of both, and a last norm (DeepSeek-V3, 2412.19437). Their
/// embedding and head are the model's.
double count_prediction(const MoeModel& model) {
  if (model.prediction_blocks == 0) return 0;
  const Block& like = model.blocks.back();
  Count count = count_resident(model, like);
  count += {2 * model.hidden * model.hidden, 3 * model.hidden};
  const double experts =
      like.moe_layer >= 0 ? static_cast<double>(model.experts * count_expert(model).all()) : 0;
  return static_cast<double>(model.prediction_blocks) * (static_cast<double>(count.all()) + experts);
}

}  // namespace

void StepShape::add_sequence(std::int64_t context, std::int64_t new_tokens, std::int64_t window) {
  const std::int64_t length = context + new_tokens;
  const std::int64_t limit = window > 0 ? window : length;
  sequences += 1;
  tokens += new_tokens;
  kv_positions += length;
  pairs += new_tokens * context + new_tokens * (new_tokens + 1) / 2;
  // The query at position p sees min(p + 1, window) positions: the first `growing` queries are not cut yet.
  const std::int64_t growing = std::clamp<std::int64_t>(limit - context, 0, new_tokens);
  windowed_kv_positions += std::min(length, limit);
  windowed_pairs += growing * context + growing * (growing + 1) / 2 + (new_tokens - growing) * limit;
  windowed_reads += std::min(length, limit - 1 + new_tokens);
}

void StepShape::add_encoder_sequence(std::int64_t new_tokens) {
  sequences += 1;
  tokens += new_tokens;
  kv_positions += new_tokens;
  pairs += new_tokens * new_tokens;
  windowed_kv_positions += new_tokens;
  windowed_pairs += new_tokens * new_tokens;
  windowed_reads += new_tokens;
}

MoeModel MoeModel::with_expert_format(WeightFormat other) const {
  MoeModel model = *this;
  model.expert_format = other;
  model.stored_expert.reset();
  return model;
}

MoeModel MoeModel::with_first_blocks(std::int64_t count) const {
  MoeModel model = *this;
  model.blocks.resize(static_cast<std::size_t>(count));
  model.moe_layers = 0;
  for (const Block& block : model.blocks) model.moe_layers += block.moe_layer >= 0;
  if (stored_resident) {  // as much a weight in what is left as in all
    const double all = static_cast<double>(stored_resident->count);
    model.stored_resident.reset();
    MoeModel whole = *this;
    whole.stored_resident.reset();
    const double share =
        static_cast<double>(model.resident_bytes().count) / static_cast<double>(whole.resident_bytes().count);
    model.stored_resident = Bytes{static_cast<std::int64_t>(all * share)};
  }
  return model;
}

Parameters MoeModel::parameters() const {
  const auto always = static_cast<double>(count_resident(*this).all() + count_embeddings(*this).all());
  const auto one_expert_each = static_cast<double>(count_expert(*this).all() * moe_layers);
  const auto table = static_cast<double>(vocabulary * hidden);
  Parameters p;
  p.total = always + one_expert_each * static_cast<double>(experts);
  p.active = always + one_expert_each * static_cast<double>(top_k);
  p.active_without_input_embedding = p.active - (tied_embeddings ? 0 : table);
  p.active_without_embeddings = p.active_without_input_embedding - table;
  p.prediction = count_prediction(*this);
  return p;
}

Bytes MoeModel::expert_bytes() const {
  return stored_expert ? *stored_expert : count_expert(*this).bytes(expert_format);
}

Bytes MoeModel::resident_bytes() const {
  if (stored_resident) return *stored_resident;
  Count blocks_and_norms = count_resident(*this);
  if (embedding_format != format)
    return blocks_and_norms.bytes(format) + count_embeddings(*this).bytes(embedding_format);
  blocks_and_norms += count_embeddings(*this);  // rounded up once
  return blocks_and_norms.bytes(format);
}

Bytes MoeModel::kv_bytes(const StepShape& shape) const {
  Bytes sum;
  for (const Block& block : blocks) {
    if (block.stack == Block::Stack::encoder) continue;
    if (block.recurrent) {
      sum += Bytes{kFloat * recurrence->state} * shape.sequences;
      continue;
    }
    std::int64_t positions = block.windowed ? shape.windowed_kv_positions : shape.kv_positions;
    if (block.cross_attention) positions += shape.encoder_positions;
    sum += Bytes{kBf16 * attention_of(block).cached()} * positions;
  }
  return sum;
}

Bytes MoeModel::activation_bytes(std::int64_t tokens, std::int64_t sequences) const {
  // Values a row holds while it passes a network: its input, what the activation reads and writes, its
  // output.
  const auto width = [&](const FeedForward& f) { return 2 * hidden + (f.gated ? 3 : 2) * f.intermediate; };
  // Query, key, value, output.
  const auto attended = [](const AttentionShape& a) {
    return (a.heads + a.kv_heads) * (a.head_dim + a.values());
  };
  std::int64_t attending = attended(attention);
  if (windowed_attention) attending = std::max(attending, attended(*windowed_attention));
  if (recurrence) attending = std::max(attending, recurrence->in + recurrence->out);
  std::int64_t routed = experts + top_k * width(expert);
  if (shared) routed += width(*shared);
  const std::int64_t widest = std::max({attending, routed, dense ? width(*dense) : 0});
  // Beside them the residual stream and its norm, and the logits of one position a sequence.
  return Bytes{kBf16 * (tokens * (2 * hidden + widest) + sequences * vocabulary)};
}

}  // namespace specmoe
