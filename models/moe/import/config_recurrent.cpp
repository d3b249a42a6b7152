// What stands in attention's place in some layers. Sizes are those of the models' own code, as transformers and mlx-lm
// have it.
#include <fmt/format.h>

#include <algorithm>

#include "models/moe/import/config_parts.hpp"
#include "models/moe/model_bounds.hpp"

namespace specmoe {

namespace {

constexpr std::int64_t kMostKernel = 1 << 10, kMostHeadDim = 1 << 12;

/// Marks the layers of a recurrence; without any of them the model has none.
template <class Rule>
void mark(ConfigImport& in, const Rule& rule) {
  bool any = false;
  for (std::int64_t i = 0; i < in.layers; ++i) {
    in.model.blocks[static_cast<std::size_t>(i)].recurrent = rule(i);
    any = any || rule(i);
  }
  if (!any) in.model.recurrence.reset();
}

/// Marks layers whose entry in `layer_types` is `kind`. @return false if there is no such list
bool mark_types(ConfigImport& in, std::string_view kind) {
  const auto types = in.config.texts({"layer_types", "layers_block_type"});
  if (!types) return false;
  if (std::ssize(*types) != in.layers)
    in.config.fail({"layer_types", "layers_block_type"},
                   fmt::format("an entry for each of the {} layers", in.layers));
  mark(in, [&](std::int64_t i) { return (*types)[static_cast<std::size_t>(i)] == kind; });
  return true;
}

bool among(const std::vector<std::int64_t>& list, std::int64_t number) {
  return std::find(list.begin(), list.end(), number) != list.end();
}

/// @throws InputError if the sizes are beyond what a specification may have
void set(ConfigImport& in, const Recurrence& r) {
  if (r.in > kMostColumns || r.out > kMostColumns || r.state > kMostState || r.other > kMostState)
    in.config.fail({"linear_num_value_heads", "linear_attn_config", "mamba_n_heads", "mamba_num_heads",
                    "mamba_expand", "num_attention_heads", "conv_L_cache"},
                   "recurrent layers of a sensible size");
  in.model.recurrence = r;
}

}  // namespace

// Gated DeltaNet (Qwen3-Next): queries and keys of linear_num_key_heads, values, gates, beta and decay of
// linear_num_value_heads; a convolution over queries, keys and values.
void import_delta_net(ConfigImport& in) {
  const Config& c = in.config;
  const std::int64_t key_heads = c.integer({"linear_num_key_heads"}, 1, kMostHeads);
  const std::int64_t value_heads = c.integer({"linear_num_value_heads"}, 1, kMostHeads);
  const std::int64_t key_dim = c.integer({"linear_key_head_dim"}, 1, kMostHeadDim);
  const std::int64_t value_dim = c.integer({"linear_value_head_dim"}, 1, kMostHeadDim);
  const std::int64_t kernel = c.integer({"linear_conv_kernel_dim"}, 1, kMostKernel);
  const std::int64_t keys = key_heads * key_dim, values = value_heads * value_dim, mixed = 2 * keys + values;
  set(in, {2 * keys + 2 * values + 2 * value_heads, values,
           value_heads * key_dim * value_dim + mixed * (kernel - 1),
           mixed * kernel + 2 * value_heads + value_dim});
  if (mark_types(in, "linear_attention")) return;
  const std::int64_t interval = c.find_integer({"full_attention_interval"}, 1, kMostLayers).value_or(4);
  mark(in, [&](std::int64_t i) { return (i + 1) % interval != 0; });
}

// Kimi Delta Attention: queries, keys and values as wide as each other, each with a convolution; decay and output gate
// through a bottleneck of one head's width; beta a head. Layers are counted from 1.
void import_kimi_delta(ConfigImport& in) {
  const auto linear = in.config.object("linear_attn_config");
  if (!linear) in.config.fail_missing({"linear_attn_config"});
  const std::int64_t heads = linear->integer({"num_heads"}, 1, kMostHeads);
  const std::int64_t dim = linear->integer({"head_dim"}, 1, kMostHeadDim);
  const std::int64_t kernel = linear->integer({"short_conv_kernel_size"}, 1, kMostKernel);
  const std::int64_t width = heads * dim;
  set(in, {3 * width + 2 * dim + heads, width, heads * dim * dim + 3 * width * (kernel - 1),
           3 * width * kernel + 2 * dim * width + heads + width + dim});
  const auto layers = linear->integers({"kda_layers"});
  if (!layers) linear->fail_missing({"kda_layers"});
  mark(in, [&](std::int64_t i) { return among(*layers, i + 1); });
}

// Lightning attention (MiniMax-01): queries, keys, values and an output gate; no convolution.
void import_lightning(ConfigImport& in) {
  const AttentionShape& a = in.model.attention;
  const std::int64_t width = a.heads * a.head_dim;
  set(in, {4 * width, width, a.heads * a.head_dim * a.head_dim, width});
  if (mark_types(in, "linear_attention")) return;
  const auto types = in.config.integers({"attn_type_list"});  // 1 is softmax
  if (!types || std::ssize(*types) != in.layers)
    in.config.fail({"attn_type_list", "layer_types"},
                   fmt::format("an entry for each of the {} layers", in.layers));
  mark(in, [&](std::int64_t i) { return (*types)[static_cast<std::size_t>(i)] == 0; });
}

// Mamba-2 (2405.21060): gate, values, B and C of each group and a step a head; a convolution over values, B and C.
void import_mamba2(ConfigImport& in) {
  const Config& c = in.config;
  const std::int64_t heads = c.integer({"mamba_n_heads", "mamba_num_heads"}, 1, kMostHeads);
  const std::int64_t dim = c.integer({"mamba_d_head", "mamba_head_dim"}, 1, kMostHeadDim);
  const std::int64_t groups = c.find_integer({"mamba_n_groups", "n_groups"}, 1, kMostHeads).value_or(1);
  const std::int64_t state = c.integer({"mamba_d_state", "ssm_state_size"}, 1, kMostHeadDim);
  const std::int64_t kernel = c.integer({"mamba_d_conv", "conv_kernel"}, 1, kMostKernel);
  const bool bias = c.flag({"mamba_conv_bias", "use_conv_bias"}, true);
  const std::int64_t width = heads * dim, mixed = width + 2 * groups * state;
  set(in, {width + mixed + heads, width, width * state + mixed * (kernel - 1),
           mixed * (kernel + (bias ? 1 : 0)) + 3 * heads + width});
}

// Mamba (2312.00752): values and gate; a convolution over values; step, B and C from them through a bottleneck.
void import_jamba_mamba(ConfigImport& in) {
  const Config& c = in.config;
  const std::int64_t width = c.integer({"mamba_expand"}, 1, 64) * in.model.hidden;
  const std::int64_t state = c.integer({"mamba_d_state"}, 1, kMostHeadDim);
  const std::int64_t kernel = c.integer({"mamba_d_conv"}, 1, kMostKernel);
  const std::int64_t rank = c.integer({"mamba_dt_rank"}, 1, kMostHidden);
  const std::int64_t bias = c.flag({"mamba_conv_bias"}, true) ? 1 : 0;
  const std::int64_t selection = width * (rank + 2 * state) + rank * width + width + rank + 2 * state;
  set(in, {2 * width, width, width * state + width * (kernel - 1),
           width * (kernel + bias) + selection + width * state + width});
  const std::int64_t period = c.integer({"attn_layer_period"}, 1, kMostLayers);
  const std::int64_t offset = c.integer({"attn_layer_offset"}, 0, period - 1);
  mark(in, [&](std::int64_t i) { return i % period != offset; });
}

// LFM2: a convolution over a few positions between two gates.
void import_short_convolutions(ConfigImport& in) {
  const std::int64_t kernel = in.config.integer({"conv_L_cache"}, 1, kMostKernel), width = in.model.hidden;
  set(in, {3 * width, width, width * kernel, width * kernel});
  if (const auto attending = in.config.integers({"full_attn_idxs"}))
    mark(in, [&](std::int64_t i) { return !among(*attending, i); });
  else if (!mark_types(in, "conv"))
    in.config.fail_missing({"layer_types", "full_attn_idxs"});
}

void import_granite_mamba(ConfigImport& in) {
  const auto types = in.config.texts({"layer_types"});
  if (!types || std::find(types->begin(), types->end(), "mamba") == types->end()) return;
  import_mamba2(in);
  mark_types(in, "mamba");
}

}  // namespace specmoe
