// Which layers have experts, and which see a window.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "models/moe/import/config_parts.hpp"
#include "models/moe/model_bounds.hpp"

namespace specmoe {

namespace {

template <class Rule>
std::vector<bool> layers_where(const ConfigImport& in, const Rule& rule) {
  std::vector<bool> chosen;
  for (std::int64_t i = 0; i < in.layers; ++i) chosen.push_back(rule(i));
  return chosen;
}

/// Whether a list with one entry a layer has a certain entry there.
template <class Entry>
std::vector<bool> layers_with(const ConfigImport& in, std::string_view key, const std::vector<Entry>& list,
                              const Entry& entry) {
  if (std::ssize(list) != in.layers)
    in.config.fail({key}, fmt::format("an entry for each of the {} layers", in.layers));
  return layers_where(in, [&](std::int64_t i) { return list[static_cast<std::size_t>(i)] == entry; });
}

}  // namespace

std::vector<bool> all_layers(const ConfigImport& in) {
  return std::vector<bool>(static_cast<std::size_t>(in.layers), true);
}

std::vector<bool> sparse_steps(const ConfigImport& in) {
  const std::int64_t step = in.config.find_integer({"decoder_sparse_step"}, 1, kMostLayers).value_or(1);
  const auto dense = in.config.integers({"mlp_only_layers"}).value_or(std::vector<std::int64_t>{});
  return layers_where(in, [&](std::int64_t i) {
    return (i + 1) % step == 0 && std::find(dense.begin(), dense.end(), i) == dense.end();
  });
}

std::vector<bool> after_first_dense(const ConfigImport& in) {
  const Config& c = in.config;
  if (const auto kinds = c.texts({"mlp_layer_types"}))
    return layers_with<std::string>(in, "mlp_layer_types", *kinds, "sparse");
  for (const char* key : {"is_moe_layer", "moe_layer_freq"})
    if (c.is_list({key})) return layers_with<std::int64_t>(in, key, *c.integers({key}), 1);
  const std::int64_t first =
      c.find_integer({"first_k_dense_replace", "num_dense_layers"}, 0, kMostLayers).value_or(0);
  const std::int64_t step = c.find_integer({"moe_layer_freq"}, 1, kMostLayers).value_or(1);
  return layers_where(in, [&](std::int64_t i) { return i >= first && i % step == 0; });
}

std::vector<bool> llama4_layers(const ConfigImport& in) {
  if (const auto list = in.config.integers({"moe_layers"}))
    return layers_where(
        in, [&](std::int64_t i) { return std::find(list->begin(), list->end(), i) != list->end(); });
  const std::int64_t step = in.config.find_integer({"interleave_moe_layer_step"}, 1, kMostLayers).value_or(1);
  return layers_where(in, [&](std::int64_t i) { return i % step == step - 1; });
}

std::vector<bool> arctic_layers(const ConfigImport& in) {
  const std::int64_t step = in.config.integer({"moe_layer_frequency"}, 1, kMostLayers);
  return layers_where(in, [&](std::int64_t i) { return (i + 1) % step == 0; });
}

std::vector<bool> jamba_layers(const ConfigImport& in) {
  const std::int64_t period = in.config.integer({"expert_layer_period"}, 1, kMostLayers);
  const std::int64_t offset = in.config.integer({"expert_layer_offset"}, 0, period - 1);
  return layers_where(in, [&](std::int64_t i) { return i % period == offset; });
}

std::vector<bool> ernie_layers(const ConfigImport& in) {
  // Text and vision experts may have a bound each: the list's outermost hold.
  const auto bound = [&](std::string_view key, std::int64_t otherwise, bool least) {
    if (!in.config.is_list({key})) return in.config.find_integer({key}, -1, kMostLayers).value_or(otherwise);
    const auto list = *in.config.integers({key});
    if (list.empty()) in.config.fail({key}, "a layer");
    return least ? *std::min_element(list.begin(), list.end()) : *std::max_element(list.begin(), list.end());
  };
  const std::int64_t first = bound("moe_layer_start_index", 0, true);
  std::int64_t last = bound("moe_layer_end_index", in.layers - 1, false);
  if (last < 0) last = in.layers - 1;
  const std::int64_t step = in.config.find_integer({"moe_layer_interval"}, 1, kMostLayers).value_or(1);
  return layers_where(in, [&](std::int64_t i) { return i >= first && i <= last && (i + 1) % step == 0; });
}

std::vector<bool> enumerated_layers(const ConfigImport& in) {
  const auto text = in.config.text({"moe_layers_enum"});
  if (!text)
    return in.config.has({"first_k_dense_replace"})
               ? after_first_dense(in)
               : layers_where(in, [](std::int64_t i) { return i > 0; });  // as its code has it
  std::vector<bool> chosen(static_cast<std::size_t>(in.layers));
  const char* at = text->data();
  const char* end = at + text->size();
  while (at < end) {
    std::int64_t layer = -1;
    const auto [next, error] = std::from_chars(at, end, layer);
    if (error != std::errc{} || layer < 0 || layer >= in.layers || (next < end && *next != ','))
      in.config.fail({"moe_layers_enum"},
                     fmt::format("numbers of layers below {}, joined by commas", in.layers));
    chosen[static_cast<std::size_t>(layer)] = true;
    at = next < end ? next + 1 : next;
  }
  return chosen;
}

namespace {

/// Llama 4 attends within chunks in layers with rotary positions.
std::vector<bool> chunked_layers(const ConfigImport& in) {
  if (const auto list = in.config.integers({"no_rope_layers"}); list && !list->empty())
    return layers_with<std::int64_t>(in, "no_rope_layers", *list, 1);
  const std::int64_t step = in.config.find_integer({"no_rope_layer_interval"}, 1, kMostLayers).value_or(4);
  return layers_where(in, [&](std::int64_t i) { return (i + 1) % step != 0; });
}

std::vector<bool> windowed_layers(ConfigImport& in) {
  const Config& c = in.config;
  if (const auto types = c.texts({"layer_types"})) {
    std::vector<bool> sliding = layers_with<std::string>(in, "layer_types", *types, "sliding_attention");
    const std::vector<bool> chunked =
        layers_with<std::string>(in, "layer_types", *types, "chunked_attention");
    for (std::size_t i = 0; i < sliding.size(); ++i) sliding[i] = sliding[i] || chunked[i];
    return sliding;
  }
  if (c.is_list({"hybrid_layer_pattern"}))
    return layers_with<std::int64_t>(in, "hybrid_layer_pattern", *c.integers({"hybrid_layer_pattern"}), 1);
  if (in.type == "llama4_text") return chunked_layers(in);
  if (in.type == "gpt_oss" || in.type == "step3p5")
    return layers_where(in, [](std::int64_t i) { return i % 2 == 0; });
  if (in.type == "gemma4_text") return layers_where(in, [](std::int64_t i) { return i % 6 != 5; });
  if (in.type == "afmoe") {
    const std::int64_t step = c.find_integer({"global_attn_every_n_layers"}, 1, kMostLayers).value_or(4);
    return layers_where(in, [&](std::int64_t i) { return (i + 1) % step != 0; });
  }
  if (in.type == "mixtral" || in.type == "phimoe") return all_layers(in);
  return std::vector<bool>(static_cast<std::size_t>(in.layers));
}

/// Heads of layers with a window, where the model says that they are others.
void import_window_heads(ConfigImport& in) {
  const Config& c = in.config;
  AttentionShape own = in.model.attention;
  if (in.type == "gemma4_text") {
    // The other way round: the unqualified keys are those of the layers with a window.
    AttentionShape& global = in.model.attention;
    global.head_dim = c.find_integer({"global_head_dim"}, 1, kMostHidden).value_or(own.head_dim);
    global.kv_heads = c.find_integer({"num_global_key_value_heads"}, 1, global.heads).value_or(own.kv_heads);
    if (c.flag({"attention_k_eq_v"}, false))
      in.notes.push_back(
          "values of global layers are their keys before norm and rotary; counted as projected apart");
    in.model.windowed_attention = own;
    return;
  }
  const auto heads = c.find_integer(
      {"swa_num_attention_heads", "attention_other_setting.num_attention_heads"}, 1, kMostHeads);
  if (!heads) return;
  own.heads = *heads;
  own.kv_heads = c.find_integer({"swa_num_key_value_heads", "attention_other_setting.num_attention_groups"},
                                1, own.heads)
                     .value_or(own.kv_heads);
  if (own.heads % own.kv_heads != 0)
    c.fail({"swa_num_key_value_heads", "attention_other_setting.num_attention_groups"},
           "a divisor of the heads");
  own.head_dim = c.find_integer({"swa_head_dim", "attention_other_setting.head_dim"}, 1, kMostHidden)
                     .value_or(own.head_dim);
  own.value_dim = c.find_integer({"swa_v_head_dim"}, 1, kMostHidden).value_or(own.value_dim);
  in.model.windowed_attention = own;
}

}  // namespace

void import_windows(ConfigImport& in) {
  const Config& c = in.config;
  if (in.model.attention.latent || !c.flag({"use_sliding_window"}, true)) return;
  const auto positions =
      c.find_integer({"sliding_window", "sliding_window_size", "attention_chunk_size"}, 1, kMostPositions);
  if (!positions) return;
  const std::vector<bool> windowed = windowed_layers(in);
  if (std::find(windowed.begin(), windowed.end(), true) == windowed.end()) return;
  in.model.attention.window = *positions;
  for (std::size_t i = 0; i < windowed.size(); ++i) in.model.blocks[i].windowed = windowed[i];
  if (c.has({"attention_chunk_size"}) && !c.has({"sliding_window"}))
    in.notes.push_back("chunks of attention are taken for a sliding window of their length");
  import_window_heads(in);
}

}  // namespace specmoe
