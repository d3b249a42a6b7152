// Models whose blocks are not one mixer and one feed-forward network after another.
#include <fmt/format.h>

#include "models/moe/import/config_parts.hpp"
#include "models/moe/model_bounds.hpp"

namespace specmoe {

namespace {

void add_blocks(MoeModel& model, Block::Stack stack, const std::vector<bool>& experts) {
  const bool cross = model.encoder_decoder();
  for (const bool moe : experts) model.blocks.push_back({stack, moe ? model.moe_layers++ : -1, cross});
}

/// A block of `layers` is sparse if i % step == `rest` (or every one, for a step of 1); none for a step of 0.
std::vector<bool> stepped(std::int64_t layers, std::int64_t step, std::int64_t rest) {
  std::vector<bool> chosen;
  for (std::int64_t i = 0; i < layers; ++i) chosen.push_back(step == 1 || (step > 0 && i % step == rest));
  return chosen;
}

}  // namespace

// T5 with a sparse block every step-th: step = layers / sparse layers, from block 1 on.
void import_switch(ConfigImport& in) {
  const Config& c = in.config;
  MoeModel& m = in.model;
  const auto stack = [&](Block::Stack which, std::int64_t layers, std::string_view sparse_key) {
    const std::int64_t sparse = c.find_integer({sparse_key}, 0, kMostLayers).value_or(3);
    if (sparse > layers) {  // Switch-C's decoder is published with the wrong number of layers
      in.unverified.push_back(
          fmt::format("{} is above the number of layers ({}) and taken for it", sparse_key, layers));
      layers = sparse;
    }
    add_blocks(m, which, stepped(layers, sparse > 0 ? layers / sparse : 0, 1));
  };
  stack(Block::Stack::encoder, in.layers, "num_sparse_encoder_layers");
  stack(Block::Stack::decoder, c.find_integer({"num_decoder_layers"}, 1, kMostLayers).value_or(in.layers),
        "num_sparse_decoder_layers");
  m.attention.rotary = false;
  m.attention.relative_buckets =
      c.find_integer({"relative_attention_num_buckets"}, 1, kMostPositions).value_or(32);
  const bool gated =
      c.text({"feed_forward_proj"}).value_or("relu").starts_with("gated") || c.flag({"is_gated_act"}, false);
  m.expert = {c.integer({"d_ff"}, 1, kMostIntermediate), gated};
  m.top_k = c.find_integer({"num_selected_experts"}, 1, m.experts).value_or(1);
  if (m.moe_layers < std::ssize(m.blocks)) m.dense = m.expert;
}

// NLLB-MoE: every step-th block is sparse, the last of each step.
void import_nllb(ConfigImport& in) {
  const Config& c = in.config;
  MoeModel& m = in.model;
  const auto stack = [&](Block::Stack which, std::string_view layers, std::string_view step_key) {
    const std::int64_t step = c.integer({step_key}, 1, kMostLayers);
    add_blocks(m, which, stepped(c.integer({layers}, 1, kMostLayers), step, step - 1));
  };
  stack(Block::Stack::encoder, "encoder_layers", "encoder_sparse_step");
  stack(Block::Stack::decoder, "decoder_layers", "decoder_sparse_step");
  AttentionShape& a = m.attention;
  a.rotary = false;
  a.qkv_bias = a.output_bias = true;
  m.expert = {c.integer({"encoder_ffn_dim"}, 1, kMostIntermediate), false};
  if (c.integer({"decoder_ffn_dim"}, 1, kMostIntermediate) != m.expert.intermediate)
    c.fail({"decoder_ffn_dim"}, "the encoder's");
  if (c.integer({"decoder_attention_heads"}, 1, kMostHeads) != a.heads)
    c.fail({"decoder_attention_heads"}, "the encoder's");
  m.expert_bias = true;
  m.top_k = 2;
  if (m.moe_layers < std::ssize(m.blocks)) m.dense = m.expert;
}

// Nemotron-H: layers of one kind each, M (Mamba-2), * (attention), E (experts), - (dense). A mixer and the network behind
// it make one of our blocks; each has a norm of its own either way.
void import_nemotron(ConfigImport& in) {
  const Config& c = in.config;
  MoeModel& m = in.model;
  std::string pattern;
  const auto kinds = c.texts({"layers_block_type"});
  if (kinds && !c.has({"hybrid_override_pattern"}))
    for (const std::string& kind : *kinds)
      pattern += kind == "mamba"       ? 'M'
                 : kind == "attention" ? '*'
                 : kind == "moe"       ? 'E'
                 : kind == "mlp"       ? '-'
                                       : '?';
  else if (const auto text = c.text({"hybrid_override_pattern"}))
    pattern = *text;
  else
    c.fail_missing({"hybrid_override_pattern", "layers_block_type"});
  if (c.has({"moe_latent_size"})) c.fail({"moe_latent_size"}, "experts as wide as the hidden state");
  const auto refuse = [&](const std::string& expected) {
    c.fail({"hybrid_override_pattern", "layers_block_type"}, expected);
  };
  if (std::ssize(pattern) > kMostLayers) refuse(fmt::format("at most {} layers", kMostLayers));
  for (const char kind : pattern) {
    if (kind == 'M' || kind == '*') {
      m.blocks.push_back({});
      m.blocks.back().recurrent = kind == 'M';
      m.blocks.back().mixer_only = true;
    } else if ((kind == 'E' || kind == '-') && !m.blocks.empty() && m.blocks.back().mixer_only) {
      m.blocks.back().mixer_only = false;
      if (kind == 'E') m.blocks.back().moe_layer = m.moe_layers++;
    } else {
      refuse("M and *, each with an E or - behind it or none");
    }
  }
  if (m.moe_layers == 0) refuse("a layer of experts (E)");
  if (pattern.find('M') != std::string::npos) import_mamba2(in);
  m.attention.rotary = false;
  m.expert = {c.integer({"moe_intermediate_size"}, 1, kMostIntermediate), false};
  const std::int64_t shared = c.find_integer({"n_shared_experts"}, 0, kMostExperts).value_or(1);
  if (shared > 0 && c.has({"moe_shared_expert_intermediate_size"}))
    m.shared = FeedForward{c.integer({"moe_shared_expert_intermediate_size"}, 1, kMostIntermediate), false};
  if (pattern.find('-') != std::string::npos)
    m.dense = FeedForward{c.integer({"intermediate_size"}, 1, kMostIntermediate), false};
}

// LongCat-Flash: a layer has attention, experts beside a dense network, attention and a dense network again.
void import_longcat(ConfigImport& in) {
  const Config& c = in.config;
  MoeModel& m = in.model;
  if (in.layers > kMostLayers / 2)
    c.fail({"num_layers", "num_hidden_layers"}, fmt::format("at most {}", kMostLayers / 2));
  for (std::int64_t i = 0; i < in.layers; ++i) add_blocks(m, Block::Stack::decoder, {true, false});
  m.expert = {c.integer({"expert_ffn_hidden_size"}, 1, kMostIntermediate), true};
  m.dense = m.shared = FeedForward{c.integer({"ffn_hidden_size"}, 1, kMostIntermediate), true};
  in.notes.push_back(
      "each layer is two blocks: experts beside the first dense network, then the second; the experts' "
      "outputs are waited for "
      "between them");
  if (const auto zero = c.find_integer({"zero_expert_num"}, 1, kMostExperts))
    in.notes.push_back(
        fmt::format("a token's top {} are of {} experts and {} that do nothing (zero_expert_num); here all "
                    "are real, so that active "
                    "parameters are the most that a token can use",
                    m.top_k, m.experts, *zero));
}

}  // namespace specmoe
