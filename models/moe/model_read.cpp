// Reads a model's specification. The schema, strict: an unknown, duplicate or missing key is an error.
//
//   name: qwen3-30b-a3b
//   source: where the shapes come from
//   unverified: which of them no source confirms             optional
//   notes: anything else                                     optional
//   hidden: 2048
//   vocabulary: 151936
//   tied_embeddings: false                                   true: the LM head is the input embedding
//   format: bf16                                             of all matrices but the routed experts'
//   encoder: {layers: 12, moe_layers: <layers>}              optional; gives the decoder's blocks cross-attention
//   decoder: {layers: 48, moe_layers: <layers>}              <layers>: all | [1, 3, 5] | {first: 1, step: 2}
//   attention:
//     heads: 32
//     kv_heads: 4
//     head_dim: 128
//     qkv_bias, output_bias, qk_norm, sinks: true            optional, false
//     rotary: false                                          optional, true
//     relative_buckets: 32                                   optional; T5's table of relative positions
//     window: {positions: 128, layers: <layers>}             optional; decoder layers with a sliding window
//   experts:
//     routed: 128
//     top_k: 8
//     intermediate: 768
//     gated: true                                            three matrices; false: two
//     bias, router_bias: true                                optional, false
//     format: mxfp4                                          optional, the model's
//   shared: {intermediate: 5632, gated: true, gate: true}    optional; all shared experts fused; gate optional, false
//   dense: {intermediate: 10944, gated: true}                where a block has no experts, and only there
//   published: {total_billion: 30.5, active_billion: 3.3, active_convention: all, source: ...}
//                                                            active_* optional
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "models/moe/model.hpp"
#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

// Bounds beyond any known model (Switch-C has 2048 experts), under which the bytes of a whole model fit 63
// bits: 3 matrices x 2^16 x 2^20 x 2^12 experts x 2^10 layers x 2 B < 2^61.
constexpr std::int64_t kMostLayers = 1 << 10, kMostHidden = 1 << 16, kMostIntermediate = 1 << 20,
                       kMostExperts = 1 << 12, kMostHeads = 1 << 10, kMostVocabulary = 1 << 24,
                       kMostPositions = 1 << 24;

bool flag(const Yaml& map, std::string_view key, bool otherwise = false) {
  const auto found = map.find(key);
  return found ? found->boolean() : otherwise;
}

WeightFormat read_format(const Yaml& node) {
  using enum WeightFormat;
  return node.choice<WeightFormat>({{"fp32", fp32},
                                    {"bf16", bf16},
                                    {"fp8", fp8},
                                    {"int8", int8},
                                    {"int4", int4},
                                    {"mxfp4", mxfp4},
                                    {"int3", int3},
                                    {"int2", int2}});
}

/// [layer] -> whether `all | [1, 3, 5] | {first: 1, step: 2}` names it.
std::vector<bool> read_layers(const Yaml& node, std::int64_t layers) {
  std::vector<bool> chosen(layers);
  if (node.is_map()) {
    node.allow_only({"first", "step"});
    const std::int64_t step = node["step"].integer(1, layers);
    for (std::int64_t i = node["first"].integer(0, layers - 1); i < layers; i += step) chosen[i] = true;
  } else if (node.is_list() && !node.items().empty()) {
    for (const Yaml& item : node.items()) {
      const std::int64_t i = item.integer(0, layers - 1);
      if (chosen[i]) item.fail("each layer once");
      chosen[i] = true;
    }
  } else if (node.is_scalar() && node.text() == "all") {
    chosen.assign(layers, true);
  } else {
    node.fail("all, a list of layers, or {first: 1, step: 2}");
  }
  return chosen;
}

void read_stack(MoeModel& model, const Yaml& node, Block::Stack stack) {
  node.allow_only({"layers", "moe_layers"});
  const std::int64_t layers = node["layers"].integer(1, kMostLayers);
  const bool cross_attention = model.encoder_decoder();
  for (const bool has_experts : read_layers(node["moe_layers"], layers)) {
    const int moe_layer = has_experts ? model.moe_layers++ : -1;
    model.blocks.push_back({stack, moe_layer, cross_attention});
  }
}

void read_attention(MoeModel& model, const Yaml& node) {
  node.allow_only({"heads", "kv_heads", "head_dim", "qkv_bias", "output_bias", "qk_norm", "sinks", "rotary",
                   "relative_buckets", "window"});
  AttentionShape& a = model.attention;
  a.heads = node["heads"].integer(1, kMostHeads);
  a.kv_heads = node["kv_heads"].integer(1, a.heads);
  if (a.heads % a.kv_heads != 0) node["kv_heads"].fail(fmt::format("a divisor of heads ({})", a.heads));
  a.head_dim = node["head_dim"].integer(1, kMostHidden);
  a.qkv_bias = flag(node, "qkv_bias");
  a.output_bias = flag(node, "output_bias");
  a.qk_norm = flag(node, "qk_norm");
  a.sinks = flag(node, "sinks");
  a.rotary = flag(node, "rotary", true);
  if (const auto buckets = node.find("relative_buckets"))
    a.relative_buckets = buckets->integer(1, kMostPositions);
  if (const auto window = node.find("window")) {
    window->allow_only({"positions", "layers"});
    a.window = (*window)["positions"].integer(1, kMostPositions);
    const auto is_decoder = [](const Block& b) { return b.stack == Block::Stack::decoder; };
    auto block = std::find_if(model.blocks.begin(), model.blocks.end(), is_decoder);
    for (const bool windowed : read_layers((*window)["layers"], model.blocks.end() - block))
      (block++)->windowed = windowed;
  }
}

FeedForward read_feed_forward(const Yaml& node) {
  return {node["intermediate"].integer(1, kMostIntermediate), node["gated"].boolean()};
}

void read_experts(MoeModel& model, const Yaml& node) {
  node.allow_only({"routed", "top_k", "intermediate", "gated", "bias", "router_bias", "format"});
  model.experts = node["routed"].integer(1, kMostExperts);
  model.top_k = node["top_k"].integer(1, model.experts);
  model.expert = read_feed_forward(node);
  model.expert_bias = flag(node, "bias");
  model.router_bias = flag(node, "router_bias");
  const auto format = node.find("format");
  model.expert_format = format ? read_format(*format) : model.format;
}

void read_published(MoeModel& model, const Yaml& node) {
  node.allow_only({"total_billion", "active_billion", "active_convention", "source"});
  node["source"].text();
  const double total = node["total_billion"].number(1e-6, 1e6);
  model.published_total = total * 1e9;
  if (!node.find("active_billion") && !node.find("active_convention")) return;
  model.published_active = node["active_billion"].number(1e-6, total) * 1e9;
  model.published_active_convention =
      node["active_convention"].choice<std::string>({{"all", "all"},
                                                     {"without_input_embedding", "without_input_embedding"},
                                                     {"without_embeddings", "without_embeddings"}});
}

std::filesystem::path specs() { return home() / "models" / "moe" / "specs"; }

}  // namespace

MoeModel MoeModel::read(const Yaml& document) {
  document.allow_only({"name", "source", "unverified", "notes", "hidden", "vocabulary", "tied_embeddings",
                       "format", "encoder", "decoder", "attention", "experts", "shared", "dense",
                       "published"});
  MoeModel model;
  model.name = document["name"].text();
  model.source = document["source"].text();
  if (const auto unverified = document.find("unverified")) model.unverified = unverified->text();
  if (const auto notes = document.find("notes")) notes->text();
  model.hidden = document["hidden"].integer(1, kMostHidden);
  model.vocabulary = document["vocabulary"].integer(1, kMostVocabulary);
  model.tied_embeddings = document["tied_embeddings"].boolean();
  model.format = read_format(document["format"]);
  if (const auto encoder = document.find("encoder")) read_stack(model, *encoder, Block::Stack::encoder);
  read_stack(model, document["decoder"], Block::Stack::decoder);
  read_attention(model, document["attention"]);
  read_experts(model, document["experts"]);
  if (const auto shared = document.find("shared")) {
    shared->allow_only({"intermediate", "gated", "gate"});
    model.shared = read_feed_forward(*shared);
    model.shared_gate = flag(*shared, "gate");
  }
  if (model.moe_layers < static_cast<int>(model.blocks.size())) {
    const Yaml dense = document["dense"];
    dense.allow_only({"intermediate", "gated"});
    model.dense = read_feed_forward(dense);
  } else if (const auto dense = document.find("dense")) {
    dense->fail("no dense feed-forward, since every layer has experts");
  }
  read_published(model, document["published"]);
  return model;
}

Yaml MoeModel::open(const std::string& name_or_file) {
  if (name_or_file.ends_with(".yaml") || name_or_file.find('/') != std::string::npos)
    return Yaml::load(name_or_file);
  const std::vector<std::string> names = model_names();
  if (std::find(names.begin(), names.end(), name_or_file) == names.end()) {
    const std::string_view near = nearest_name(name_or_file, {names.begin(), names.end()});
    throw InputError(name_or_file, 0, "no such model",
                     fmt::format("a .yaml file or one of {}{}", fmt::join(names, ", "),
                                 near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
  }
  return Yaml::load(specs() / (name_or_file + ".yaml"));
}

std::vector<std::string> model_names() {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(specs(), error))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem());
  if (error) throw InputError(specs(), 0, "cannot be read", "the folder of model specifications");
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace specmoe
