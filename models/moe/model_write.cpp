// Writes a model's specification; the schema stands at the top of model_read.cpp.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "models/moe/model.hpp"

namespace specmoe {

namespace {

/// A text as YAML: in double quotes unless it is plain. What is not printable ASCII becomes a question mark, so that a
/// text from a foreign file makes no other document.
std::string quoted(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '/';
  };
  // What begins with a digit or a dot might be a number.
  if (!text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) &&
      std::all_of(text.begin(), text.end(), plain))
    return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c >= ' ' && c <= '~' ? c : '?';
  }
  return out + "\"";
}

/// `all`, {first: 1, step: 2} or [1, 3, 5] of the layers that are chosen.
std::string layers_text(const std::vector<bool>& chosen) {
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < chosen.size(); ++i)
    if (chosen[i]) list.push_back(i);
  if (list.size() == chosen.size()) return "all";
  if (list.size() > 1) {
    const std::size_t first = list[0], step = list[1] - first;
    std::vector<std::size_t> regular;
    for (std::size_t i = first; i < chosen.size(); i += step) regular.push_back(i);
    if (list == regular) return fmt::format("{{first: {}, step: {}}}", first, step);
  }
  return fmt::format("[{}]", fmt::join(list, ", "));
}

/// [layer of a stack] -> whether `is` holds of its block.
template <class Is>
std::vector<bool> layers_where(const MoeModel& model, Block::Stack stack, const Is& is) {
  std::vector<bool> chosen;
  for (const Block& block : model.blocks)
    if (block.stack == stack) chosen.push_back(is(block));
  return chosen;
}

bool any(const std::vector<bool>& chosen) {
  return std::find(chosen.begin(), chosen.end(), true) != chosen.end();
}

std::string heads_text(const AttentionShape& a) {
  std::string text = fmt::format("heads: {}, kv_heads: {}, head_dim: {}", a.heads, a.kv_heads, a.head_dim);
  if (a.value_dim > 0) text += fmt::format(", value_dim: {}", a.value_dim);
  return text;
}

std::string stack_text(const MoeModel& model, Block::Stack stack) {
  const std::vector<bool> moe = layers_where(model, stack, [](const Block& b) { return b.moe_layer >= 0; });
  const std::vector<bool> alone = layers_where(model, stack, [](const Block& b) { return b.mixer_only; });
  return fmt::format("{}: {{layers: {}, moe_layers: {}{}}}\n",
                     stack == Block::Stack::encoder ? "encoder" : "decoder", moe.size(), layers_text(moe),
                     any(alone) ? fmt::format(", mixer_only: {}", layers_text(alone)) : "");
}

std::string attention_text(const MoeModel& model) {
  const AttentionShape& a = model.attention;
  std::string text = "attention:\n";
  const auto line = [&](const std::string& what) { text += "  " + what + "\n"; };
  if (a.latent) {
    const LatentAttention& l = *a.latent;
    line(fmt::format("heads: {}", a.heads));
    line(fmt::format("latent: {{{}kv_lora: {}, nope: {}, rope: {}, value: {}}}",
                     l.q_lora > 0 ? fmt::format("q_lora: {}, ", l.q_lora) : "", l.kv_lora, l.nope, l.rope,
                     l.value));
  } else {
    line(fmt::format("heads: {}", a.heads));
    line(fmt::format("kv_heads: {}", a.kv_heads));
    line(fmt::format("head_dim: {}", a.head_dim));
    if (a.value_dim > 0) line(fmt::format("value_dim: {}", a.value_dim));
  }
  if (a.output_gate) line("output_gate: true");
  if (a.qkv_bias) line("qkv_bias: true");
  if (a.output_bias) line("output_bias: true");
  if (a.qk_norm) line("qk_norm: true");
  if (a.sinks) line("sinks: true");
  if (!a.rotary) line("rotary: false");
  if (a.relative_buckets > 0) line(fmt::format("relative_buckets: {}", a.relative_buckets));
  if (a.window > 0)
    line(fmt::format(
        "window: {{positions: {}, layers: {}{}}}", a.window,
        layers_text(layers_where(model, Block::Stack::decoder, [](const Block& b) { return b.windowed; })),
        model.windowed_attention ? ", " + heads_text(*model.windowed_attention) : ""));
  return text;
}

std::string experts_text(const MoeModel& model) {
  std::string text = fmt::format("experts:\n  routed: {}\n  top_k: {}\n", model.experts, model.top_k);
  if (model.expert_groups > 1)
    text += fmt::format("  groups: {}\n  groups_kept: {}\n", model.expert_groups, model.expert_groups_kept);
  text += fmt::format("  intermediate: {}\n  gated: {}\n", model.expert.intermediate, model.expert.gated);
  if (model.expert_bias) text += "  bias: true\n";
  if (model.router_bias) text += "  router_bias: true\n";
  if (model.expert_format != model.format)
    text += fmt::format("  format: {}\n", name_of(model.expert_format));
  return text;
}

}  // namespace

std::string MoeModel::written() const {
  std::string text = fmt::format("name: {}\nsource: {}\n", quoted(name), quoted(source));
  if (!unverified.empty()) text += fmt::format("unverified: {}\n", quoted(unverified));
  if (!notes.empty()) text += fmt::format("notes: {}\n", quoted(notes));
  text += fmt::format("hidden: {}\nvocabulary: {}\ntied_embeddings: {}\nformat: {}\n", hidden, vocabulary,
                      tied_embeddings, name_of(format));
  if (embedding_format != format) text += fmt::format("embedding_format: {}\n", name_of(embedding_format));
  if (encoder_decoder()) text += stack_text(*this, Block::Stack::encoder);
  text += stack_text(*this, Block::Stack::decoder);
  text += attention_text(*this);
  if (recurrence)
    text += fmt::format(
        "recurrent: {{layers: {}, in: {}, out: {}, state: {}, other: {}}}\n",
        layers_text(layers_where(*this, Block::Stack::decoder, [](const Block& b) { return b.recurrent; })),
        recurrence->in, recurrence->out, recurrence->state, recurrence->other);
  text += experts_text(*this);
  if (shared)
    text += fmt::format("shared: {{intermediate: {}, gated: {}{}}}\n", shared->intermediate, shared->gated,
                        shared_gate ? ", gate: true" : "");
  if (dense)
    text += fmt::format("dense: {{intermediate: {}, gated: {}}}\n", dense->intermediate, dense->gated);
  if (stored_expert || stored_resident) {
    std::vector<std::string> parts;
    if (stored_expert) parts.push_back(fmt::format("expert: \"{} B\"", stored_expert->count));
    if (stored_resident) parts.push_back(fmt::format("resident: \"{} B\"", stored_resident->count));
    text += fmt::format("stored: {{{}}}\n", fmt::join(parts, ", "));
  }
  if (prediction_blocks > 0) text += fmt::format("prediction_blocks: {}\n", prediction_blocks);
  if (published_total > 0) {
    text += fmt::format("published:\n  total_billion: {}\n", published_total / 1e9);
    if (published_active > 0)
      text += fmt::format("  active_billion: {}\n  active_convention: {}\n", published_active / 1e9,
                          published_active_convention);
    text += fmt::format("  source: {}\n", quoted(published_source));
  }
  return text;
}

}  // namespace specmoe
