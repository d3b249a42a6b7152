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
//   embedding_format: bf16                                   optional, the model's; of the embedding and the LM head
//   encoder: {layers: 12, moe_layers: <layers>}              optional; gives the decoder's blocks cross-attention
//   decoder: {layers: 48, moe_layers: <layers>}              <layers>: all | [1, 3, 5] | {first: 1, step: 2}
//     mixer_only: <layers>                                   optional; decoder layers that end after their mixer
//   attention:
//     heads: 32
//     kv_heads: 4
//     head_dim: 128
//     value_dim: 128                                         optional, head_dim; of a head's value and output
//     latent: {q_lora: 1536, kv_lora: 512, nope: 128, rope: 64, value: 128}
//                                                            multi-head latent attention, in place of kv_heads,
//                                                            head_dim and value_dim; without q_lora, queries come from
//                                                            the hidden state
//     output_gate: true                                      optional, false; a projection that gates the output
//     qkv_bias, output_bias, qk_norm, sinks: true            optional, false
//     rotary: false                                          optional, true
//     relative_buckets: 32                                   optional; T5's table of relative positions
//     window: {positions: 128, layers: <layers>}             optional; decoder layers with a sliding window, and
//                                                            their own heads, kv_heads, head_dim and value_dim, where
//                                                            they differ
//   recurrent: {layers: <layers>, in: 12352, out: 4096, state: 557056, other: 33000}
//                                                            optional; decoder layers with a recurrence in attention's
//                                                            place: columns of its projections in, rows of that out,
//                                                            float32 elements a sequence, other parameters
//   experts:
//     routed: 128
//     top_k: 8
//     groups: 8, groups_kept: 4                              optional, 1; routing among the best groups of experts
//     intermediate: 768
//     gated: true                                            three matrices; false: two
//     bias, router_bias: true                                optional, false
//     format: mxfp4                                          optional, the model's
//   shared: {intermediate: 5632, gated: true, gate: true}    optional; all shared experts fused; gate optional, false
//   dense: {intermediate: 10944, gated: true}                where a block has no experts, and only there
//   stored: {expert: "13236480 B", resident: "3.6 GB"}       optional; what a file has, where formats do not say it:
//                                                            the mean routed expert, all else
//   prediction_blocks: 1                                     optional, 0; of multi-token prediction, in no total
//   published: {total_billion: 30.5, active_billion: 3.3, active_convention: all, source: ...}
//                                                            optional, and so are active_*
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "models/moe/model.hpp"
#include "models/moe/model_bounds.hpp"
#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

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
  node.allow_only({"layers", "moe_layers", "mixer_only"});
  const std::int64_t layers = node["layers"].integer(1, kMostLayers);
  const bool cross_attention = model.encoder_decoder();
  for (const bool has_experts : read_layers(node["moe_layers"], layers)) {
    const int moe_layer = has_experts ? model.moe_layers++ : -1;
    model.blocks.push_back({stack, moe_layer, cross_attention});
  }
  const auto alone = node.find("mixer_only");
  if (!alone) return;
  if (stack == Block::Stack::encoder || cross_attention)
    alone->fail("nothing here, in a model with an encoder");
  const std::vector<bool> chosen = read_layers(*alone, layers);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i] && model.blocks[i].moe_layer >= 0) alone->fail("layers without experts");
    model.blocks[i].mixer_only = chosen[i];
  }
}

/// [decoder layer] -> its block.
std::span<Block> decoder_of(MoeModel& model) {
  const auto is_decoder = [](const Block& b) { return b.stack == Block::Stack::decoder; };
  return {std::find_if(model.blocks.begin(), model.blocks.end(), is_decoder), model.blocks.end()};
}

void read_heads(AttentionShape& a, const Yaml& node) {
  a.heads = node["heads"].integer(1, kMostHeads);
  a.kv_heads = node["kv_heads"].integer(1, a.heads);
  if (a.heads % a.kv_heads != 0) node["kv_heads"].fail(fmt::format("a divisor of heads ({})", a.heads));
  a.head_dim = node["head_dim"].integer(1, kMostHidden);
  a.value_dim = 0;
  if (const auto values = node.find("value_dim")) a.value_dim = values->integer(1, kMostHidden);
}

void read_latent(AttentionShape& a, const Yaml& node) {
  node.allow_only({"q_lora", "kv_lora", "nope", "rope", "value"});
  LatentAttention l;
  if (const auto q_lora = node.find("q_lora")) l.q_lora = q_lora->integer(1, kMostHidden);
  l.kv_lora = node["kv_lora"].integer(1, kMostHidden);
  l.nope = node["nope"].integer(1, kMostHidden);
  l.rope = node["rope"].integer(1, kMostHidden);
  l.value = node["value"].integer(1, kMostHidden);
  a.kv_heads = a.heads;
  a.head_dim = l.nope + l.rope;
  a.value_dim = l.value;
  a.latent = l;
}

void read_window(MoeModel& model, const Yaml& node) {
  node.allow_only({"positions", "layers", "heads", "kv_heads", "head_dim", "value_dim"});
  AttentionShape& a = model.attention;
  if (a.latent) node.fail("no window with latent attention");
  a.window = node["positions"].integer(1, kMostPositions);
  auto block = decoder_of(model).begin();
  for (const bool windowed : read_layers(node["layers"], std::ssize(decoder_of(model))))
    (block++)->windowed = windowed;
  if (!node.find("heads") && !node.find("kv_heads") && !node.find("head_dim") && !node.find("value_dim"))
    return;
  model.windowed_attention = a;
  read_heads(*model.windowed_attention, node);
}

void read_recurrence(MoeModel& model, const Yaml& node) {
  node.allow_only({"layers", "in", "out", "state", "other"});
  model.recurrence = {node["in"].integer(1, kMostColumns), node["out"].integer(1, kMostColumns),
                      node["state"].integer(1, kMostState), node["other"].integer(0, kMostState)};
  auto block = decoder_of(model).begin();
  for (const bool recurrent : read_layers(node["layers"], std::ssize(decoder_of(model)))) {
    if (recurrent && (block->windowed || block->cross_attention))
      node["layers"].fail("layers without a window, of a model without an encoder");
    (block++)->recurrent = recurrent;
  }
}

void read_attention(MoeModel& model, const Yaml& node) {
  node.allow_only({"heads", "kv_heads", "head_dim", "value_dim", "latent", "output_gate", "qkv_bias",
                   "output_bias", "qk_norm", "sinks", "rotary", "relative_buckets", "window"});
  AttentionShape& a = model.attention;
  if (const auto latent = node.find("latent")) {
    for (const char* key : {"kv_heads", "head_dim", "value_dim", "qk_norm"})
      if (const auto other = node.find(key)) other->fail("no such key with latent attention");
    a.heads = node["heads"].integer(1, kMostHeads);
    read_latent(a, *latent);
  } else {
    read_heads(a, node);
  }
  a.output_gate = flag(node, "output_gate");
  a.qkv_bias = flag(node, "qkv_bias");
  a.output_bias = flag(node, "output_bias");
  a.qk_norm = flag(node, "qk_norm");
  a.sinks = flag(node, "sinks");
  a.rotary = flag(node, "rotary", true);
  if (const auto buckets = node.find("relative_buckets"))
    a.relative_buckets = buckets->integer(1, kMostPositions);
  if (const auto window = node.find("window")) read_window(model, *window);
}

FeedForward read_feed_forward(const Yaml& node) {
  return {node["intermediate"].integer(1, kMostIntermediate), node["gated"].boolean()};
}

void read_experts(MoeModel& model, const Yaml& node) {
  node.allow_only(
      {"routed", "top_k", "groups", "groups_kept", "intermediate", "gated", "bias", "router_bias", "format"});
  model.experts = node["routed"].integer(1, kMostExperts);
  model.top_k = node["top_k"].integer(1, model.experts);
  if (const auto groups = node.find("groups")) {
    model.expert_groups = groups->integer(1, model.experts);
    if (model.experts % model.expert_groups != 0)
      groups->fail(fmt::format("a divisor of routed ({})", model.experts));
    model.expert_groups_kept = node["groups_kept"].integer(1, model.expert_groups);
    if (model.top_k > model.experts / model.expert_groups * model.expert_groups_kept)
      node["groups_kept"].fail(fmt::format("groups enough for the {} experts of a token", model.top_k));
  } else if (const auto kept = node.find("groups_kept")) {
    kept->fail("a number of groups beside it");
  }
  model.expert = read_feed_forward(node);
  model.expert_bias = flag(node, "bias");
  model.router_bias = flag(node, "router_bias");
  const auto format = node.find("format");
  model.expert_format = format ? read_format(*format) : model.format;
}

void read_published(MoeModel& model, const Yaml& node) {
  node.allow_only({"total_billion", "active_billion", "active_convention", "source"});
  model.published_source = node["source"].text();
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
                       "format", "embedding_format", "encoder", "decoder", "attention", "recurrent",
                       "experts", "shared", "dense", "stored", "prediction_blocks", "published"});
  MoeModel model;
  model.name = document["name"].text();
  model.source = document["source"].text();
  if (const auto unverified = document.find("unverified")) model.unverified = unverified->text();
  if (const auto notes = document.find("notes")) model.notes = notes->text();
  model.hidden = document["hidden"].integer(1, kMostHidden);
  model.vocabulary = document["vocabulary"].integer(1, kMostVocabulary);
  model.tied_embeddings = document["tied_embeddings"].boolean();
  model.format = read_format(document["format"]);
  const auto embedding_format = document.find("embedding_format");
  model.embedding_format = embedding_format ? read_format(*embedding_format) : model.format;
  if (const auto encoder = document.find("encoder")) read_stack(model, *encoder, Block::Stack::encoder);
  read_stack(model, document["decoder"], Block::Stack::decoder);
  read_attention(model, document["attention"]);
  if (const auto recurrent = document.find("recurrent")) read_recurrence(model, *recurrent);
  read_experts(model, document["experts"]);
  if (const auto shared = document.find("shared")) {
    shared->allow_only({"intermediate", "gated", "gate"});
    model.shared = read_feed_forward(*shared);
    model.shared_gate = flag(*shared, "gate");
  }
  const auto is_dense = [](const Block& block) { return block.moe_layer < 0 && !block.mixer_only; };
  if (std::any_of(model.blocks.begin(), model.blocks.end(), is_dense)) {
    const Yaml dense = document["dense"];
    dense.allow_only({"intermediate", "gated"});
    model.dense = read_feed_forward(dense);
  } else if (const auto dense = document.find("dense")) {
    dense->fail("no dense feed-forward, since every layer has experts");
  }
  if (const auto stored = document.find("stored")) {
    stored->allow_only({"expert", "resident"});
    if (const auto expert = stored->find("expert"))
      model.stored_expert = expert->bytes({1}, {kMostExpertBytes});
    if (const auto rest = stored->find("resident"))
      model.stored_resident = rest->bytes({1}, {kMostResidentBytes});
  }
  if (const auto blocks = document.find("prediction_blocks"))
    model.prediction_blocks = blocks->integer(0, kMostLayers);
  if (const auto published = document.find("published")) read_published(model, *published);
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
