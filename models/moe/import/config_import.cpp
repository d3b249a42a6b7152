// From a config.json of Hugging Face to a model: one table says what each model type adds to what all have in common.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "models/moe/import/config_parts.hpp"
#include "models/moe/import/imported.hpp"
#include "models/moe/import/model_import.hpp"
#include "models/moe/model_bounds.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

const Config::Keys kLayers{"num_hidden_layers", "num_layers", "n_layers", "encoder_layers"},
    kHidden{"hidden_size", "d_model"},
    kExperts{"num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts",
             "ffn_config.moe_num_experts"},
    kTopK{"num_experts_per_tok", "num_experts_per_token",
          "experts_per_token",   "moe_topk",
          "moe_top_k",           "moe_k",
          "top_k_experts",       "num_selected_experts",
          "ffn_config.moe_top_k"},
    kExpertWidth{"moe_intermediate_size", "expert_ffn_hidden_size", "ffn_config.ffn_hidden_size"},
    kDenseWidth{"intermediate_size_mlp", "intermediate_size", "ffn_hidden_size"},
    kSharedWidth{"shared_expert_intermediate_size", "share_expert_dim", "shared_intermediate_size"},
    kSharedCount{"n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"},
    kPrediction{"num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers"};

// What a kind of model has beside the common keys.
struct Kind {
  std::string_view type;
  LayerRule moe_layers;  // or null: `layout` does it all
  void (*layout)(ConfigImport&) = nullptr;
  void (*extra)(ConfigImport&) = nullptr;  // before windows; heads and blocks are there
  /// The experts' width is in `intermediate_size`.
  bool plain_width = false;
  bool qk_norm = false, tied = false;
};

void qwen2(ConfigImport& in) { in.model.shared_gate = in.model.shared.has_value(); }

void qwen3_next(ConfigImport& in) {
  qwen2(in);
  in.model.attention.output_gate = in.config.flag({"attn_output_gate"}, true);
  import_delta_net(in);
}

void gpt_oss(ConfigImport& in) {
  in.model.attention.sinks = in.model.expert_bias = in.model.router_bias = true;
}

void arctic(ConfigImport& in) {
  if (in.config.flag({"use_residual", "parallel_attn_mlp_res"}, true))
    in.model.shared = FeedForward{in.model.hidden, true};
}

void llama4(ConfigImport& in) { in.model.shared = in.model.expert; }

void gemma4(ConfigImport& in) {
  in.model.shared = FeedForward{in.config.integer({"intermediate_size"}, 1, kMostIntermediate), true};
  if (in.config.find_integer({"hidden_size_per_layer_input"}, 0, kMostHidden).value_or(0) > 0)
    in.config.fail({"hidden_size_per_layer_input"}, "0: inputs a layer are not modelled");
}

void jamba(ConfigImport& in) {
  in.model.attention.rotary = false;
  import_jamba_mamba(in);
}

void afmoe(ConfigImport& in) { in.model.attention.output_gate = true; }

void mimo(ConfigImport& in) {
  in.model.attention.sinks =
      in.config.flag({"add_full_attention_sink_bias", "add_swa_attention_sink_bias"}, false);
}

void hunyuan(ConfigImport& in) {
  if (!in.config.flag({"use_mixed_mlp_moe"}, true)) in.model.shared.reset();
  if (in.config.flag({"use_cla"}, false))
    in.unverified.push_back("keys and values shared between layers (use_cla) are counted in each of them");
}

constexpr std::array kKinds{
    Kind{.type = "afmoe", .moe_layers = after_first_dense, .extra = afmoe, .qk_norm = true},
    Kind{.type = "arctic", .moe_layers = arctic_layers, .extra = arctic, .plain_width = true},
    Kind{.type = "bailing_moe", .moe_layers = after_first_dense},
    Kind{.type = "dbrx", .moe_layers = all_layers},
    Kind{.type = "deepseek", .moe_layers = after_first_dense},
    Kind{.type = "deepseek_v2", .moe_layers = after_first_dense},
    Kind{.type = "deepseek_v3", .moe_layers = after_first_dense},
    Kind{.type = "deepseek_v32", .moe_layers = after_first_dense},
    Kind{.type = "dots1", .moe_layers = after_first_dense, .qk_norm = true},
    Kind{.type = "ernie4_5_moe", .moe_layers = ernie_layers},
    Kind{.type = "exaone_moe", .moe_layers = after_first_dense, .qk_norm = true},
    Kind{.type = "gemma4_text", .moe_layers = all_layers, .extra = gemma4, .qk_norm = true, .tied = true},
    Kind{.type = "glm4_moe", .moe_layers = after_first_dense},
    Kind{.type = "glm_moe_dsa", .moe_layers = after_first_dense},
    Kind{.type = "gpt_oss", .moe_layers = all_layers, .extra = gpt_oss, .plain_width = true},
    Kind{.type = "granitemoe", .moe_layers = all_layers, .plain_width = true},
    Kind{.type = "granitemoehybrid",
         .moe_layers = all_layers,
         .extra = import_granite_mamba,
         .plain_width = true},
    Kind{.type = "hunyuan", .moe_layers = all_layers, .extra = hunyuan, .plain_width = true, .tied = true},
    Kind{.type = "jamba", .moe_layers = jamba_layers, .extra = jamba, .plain_width = true},
    Kind{.type = "kimi_k2", .moe_layers = after_first_dense},
    Kind{.type = "kimi_linear", .moe_layers = after_first_dense, .extra = import_kimi_delta},
    Kind{.type = "lfm2_moe",
         .moe_layers = after_first_dense,
         .extra = import_short_convolutions,
         .qk_norm = true,
         .tied = true},
    Kind{.type = "llama4_text", .moe_layers = llama4_layers, .extra = llama4, .plain_width = true},
    Kind{.type = "longcat_flash", .moe_layers = nullptr, .layout = import_longcat},
    Kind{.type = "mimo_v2_flash", .moe_layers = after_first_dense, .extra = mimo},
    Kind{.type = "minimax", .moe_layers = all_layers, .extra = import_lightning, .plain_width = true},
    Kind{.type = "minimax_m2", .moe_layers = all_layers, .plain_width = true, .qk_norm = true},
    Kind{.type = "mixtral", .moe_layers = all_layers, .plain_width = true},
    Kind{.type = "nemotron_h", .moe_layers = nullptr, .layout = import_nemotron},
    Kind{.type = "nllb-moe", .moe_layers = nullptr, .layout = import_nllb, .tied = true},
    Kind{.type = "olmoe", .moe_layers = all_layers, .plain_width = true, .qk_norm = true},
    Kind{.type = "phimoe", .moe_layers = all_layers, .plain_width = true},
    Kind{.type = "qwen2_moe", .moe_layers = sparse_steps, .extra = qwen2},
    Kind{.type = "qwen3_5_moe_text", .moe_layers = sparse_steps, .extra = qwen3_next, .qk_norm = true},
    Kind{.type = "qwen3_moe", .moe_layers = sparse_steps, .qk_norm = true},
    Kind{.type = "qwen3_next", .moe_layers = sparse_steps, .extra = qwen3_next, .qk_norm = true},
    Kind{.type = "solar_open", .moe_layers = after_first_dense},
    Kind{.type = "step3p5", .moe_layers = enumerated_layers, .qk_norm = true},
    Kind{.type = "switch_transformers", .moe_layers = nullptr, .layout = import_switch, .tied = true},
};

// Other names of the same: of a model with a vision tower, of an early release, of the model's own code.
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kAliases{{
    {"Glm4Moe", "glm4_moe"},
    {"MiniMaxText01", "minimax"},
    {"bailing_moe_v2", "bailing_moe"},
    {"gemma4", "gemma4_text"},
    {"glm4v_moe_text", "glm4_moe"},
    {"granitemoeshared", "granitemoehybrid"},
    {"hunyuan_v1_moe", "hunyuan"},
    {"llama4", "llama4_text"},
    {"minimax_text_01", "minimax"},
    {"nemotron_h_moe", "nemotron_h"},
    {"qwen3_5_moe", "qwen3_5_moe_text"},
    {"qwen3_vl_moe_text", "qwen3_moe"},
    {"step3p7", "step3p5"},
    {"deepseek_v3_2", "deepseek_v32"},
}};

Config language_model(const Config& top) {
  if (top.has(kLayers)) return top;
  for (const char* key : {"text_config", "llm_config", "language_config"})
    if (const auto inner = top.object(key)) return *inner;
  return top;
}

const Kind& kind_of(ConfigImport& in) {
  const Config& named = in.config.has({"model_type"}) ? in.config : in.top;
  const auto type = named.text({"model_type"});
  if (!type) named.fail_missing({"model_type"});
  in.type = *type;
  for (const auto& [other, known] : kAliases)
    if (in.type == other) in.type = known;
  const auto kind =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.type == in.type; });
  // Zero or one expert is how hybrids and shared code say that a model is dense.
  const bool moe = in.config.has(kExperts) && in.config.integer(kExperts, 0, kMostExperts) > 1;
  if (!moe)
    throw InputError(in.config.file(), 0, fmt::format("a dense model ({}), without experts", *type),
                     fmt::format("a Mixture-of-Experts model, with {} above 1", fmt::join(kExperts, " or ")));
  if (kind == kKinds.end()) {
    const std::vector<std::string_view> types = importable_model_types();
    const std::string_view near = nearest_name(*type, types);
    named.fail({"model_type"}, fmt::format("one of {}{}", fmt::join(types, ", "),
                                           near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
  }
  return *kind;
}

void import_groups(ConfigImport& in) {
  const Config& c = in.config;
  const std::int64_t groups =
      c.find_integer({"n_group", "num_expert_group"}, 0, in.model.experts).value_or(1);
  if (groups <= 1 || c.text({"topk_method"}).value_or("") == "greedy") return;
  if (in.model.experts % groups != 0) c.fail({"n_group", "num_expert_group"}, "a divisor of the experts");
  const std::int64_t kept = c.integer({"topk_group"}, 1, groups);
  if (kept * (in.model.experts / groups) < in.model.top_k)
    c.fail({"topk_group"}, "groups enough for a token's experts");
  if (kept == groups) return;
  in.model.expert_groups = groups;
  in.model.expert_groups_kept = kept;
}

// Blocks of a mixer and a feed-forward network each.
void import_blocks(ConfigImport& in, const Kind& kind) {
  const Config& c = in.config;
  MoeModel& m = in.model;
  if (const auto width = c.find_integer(kExpertWidth, 1, kMostIntermediate))
    m.expert.intermediate = *width;
  else if (kind.plain_width)
    m.expert.intermediate = c.integer({"intermediate_size"}, 1, kMostIntermediate);
  else
    c.fail_missing(kExpertWidth);
  for (const bool moe : kind.moe_layers(in))
    m.blocks.push_back({Block::Stack::decoder, moe ? m.moe_layers++ : -1});
  if (m.moe_layers == 0)
    throw InputError(c.file(), 0, "no layer has experts",
                     "layers that say where they are, as this model type has them");
  if (m.moe_layers < in.layers) m.dense = FeedForward{c.integer(kDenseWidth, 1, kMostIntermediate), true};

  if (const auto width = c.find_integer(kSharedWidth, 0, kMostIntermediate)) {
    if (*width > 0) m.shared = FeedForward{*width, true};
  } else if (const auto count = c.find_integer(kSharedCount, 0, kMostExperts); count && *count > 0) {
    const std::int64_t each = c.find_integer({"moe_shared_expert_intermediate_size"}, 1, kMostIntermediate)
                                  .value_or(m.expert.intermediate);
    if (*count * each > kMostIntermediate)
      c.fail(kSharedCount, fmt::format("shared experts no wider than {}", kMostIntermediate));
    m.shared = FeedForward{*count * each, true};
  }
}

}  // namespace

MoeModel import_config(std::string_view text, const std::string& file) {
  const Config top = Config::parse(text, file);
  ConfigImport in{language_model(top), top};
  const Kind& kind = kind_of(in);
  const Config& c = in.config;
  MoeModel& m = in.model;
  m.name = name_from(file);
  in.layers = c.integer(kLayers, 1, kMostLayers);
  m.hidden = c.integer(kHidden, 1, kMostHidden);
  m.vocabulary = (c.has({"vocab_size"}) ? c : top).integer({"vocab_size"}, 1, kMostVocabulary);
  m.tied_embeddings =
      (c.has({"tie_word_embeddings"}) ? c : top).flag({"tie_word_embeddings", "tie_embedding"}, kind.tied);
  m.experts = c.integer(kExperts, 2, kMostExperts);
  m.top_k = kind.layout == import_switch || kind.layout == import_nllb ? 1 : c.integer(kTopK, 1, m.experts);
  m.attention.qk_norm = kind.qk_norm;
  import_attention(in);
  import_formats(in);
  import_groups(in);
  m.router_bias = c.text({"topk_method"}).value_or("") == "noaux_tc" || c.flag({"use_routing_bias"}, false);
  if (kind.layout)
    kind.layout(in);
  else
    import_blocks(in, kind);
  if (kind.extra) kind.extra(in);
  if (!kind.layout) import_windows(in);
  m.prediction_blocks = c.find_integer(kPrediction, 0, kMostLayers).value_or(0);
  m.source = fmt::format("{}, model_type {}", std::filesystem::path(file).filename().string(), in.type);
  m.notes = fmt::format("{}", fmt::join(in.notes, "; "));
  m.unverified = fmt::format("{}", fmt::join(in.unverified, "; "));
  return checked(m, file);
}

std::vector<std::string_view> importable_model_types() {
  std::vector<std::string_view> types;
  for (const Kind& kind : kKinds) types.push_back(kind.type);
  return types;
}

}  // namespace specmoe
