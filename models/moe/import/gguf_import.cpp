// From the front of a GGUF file to a model: its tensors say most, whatever the architecture; metadata the rest. Names of
// keys and tensors are those of llama.cpp (gguf-py/gguf/constants.py).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "models/moe/import/gguf_file.hpp"
#include "models/moe/import/imported.hpp"
#include "models/moe/import/model_import.hpp"
#include "models/moe/model_bounds.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

constexpr std::array<std::string_view, 30> kArchitectures{
    "afmoe",     "arctic",        "bailingmoe",   "bailingmoe2", "dbrx",        "deepseek",
    "deepseek2", "dots1",         "ernie4_5-moe", "exaone-moe",  "gemma4",      "glm4moe",
    "gpt-oss",   "granitehybrid", "granitemoe",   "grok",        "hunyuan-moe", "kimi-linear",
    "lfm2moe",   "llama",         "llama4",       "mimo2",       "minimax-m2",  "nemotron_h_moe",
    "olmoe",     "phimoe",        "qwen2moe",     "qwen35moe",   "qwen3moe",    "qwen3next"};

class Importer {
 public:
  Importer(const GgufFile& in, std::string architecture) : in_(in), architecture_(std::move(architecture)) {}

  MoeModel model() {
    m_.hidden = in_.integer(key("embedding_length"), 1, kMostHidden);
    m_.prediction_blocks = in_.find_integer(key("nextn_predict_layers"), 0, kMostLayers).value_or(0);
    layers_ = in_.integer(key("block_count"), 1, kMostLayers) - m_.prediction_blocks;
    if (layers_ < 1) fail(key("block_count") + ": too few", "more than nextn_predict_layers");
    parts_ = in_.find_integer("split.count", 0, 1 << 16).value_or(1);
    m_.experts = in_.integer(key("expert_count"), 2, kMostExperts);
    m_.top_k = in_.integer(key("expert_used_count"), 1, m_.experts);
    import_embeddings();
    import_blocks();
    import_attention();
    import_windows();
    import_groups();
    import_sizes();
    m_.notes = fmt::format("{}", fmt::join(notes_, "; "));
    m_.unverified = fmt::format("{}", fmt::join(unverified_, "; "));
    return m_;
  }

 private:
  using Tensor = GgufFile::Tensor;

  std::string key(std::string_view suffix) const { return fmt::format("{}.{}", architecture_, suffix); }
  [[noreturn]] void fail(const std::string& what, const std::string& expected) const {
    throw InputError(in_.file(), 0, what, expected);
  }
  const Tensor* tensor(std::int64_t layer, std::string_view name) const {
    return in_.tensor(fmt::format("blk.{}.{}", layer, name));
  }
  /// In any block of this part of the file.
  const Tensor* anywhere(std::string_view name) const {
    for (std::int64_t i = 0; i < layers_; ++i)
      if (const Tensor* found = tensor(i, name)) return found;
    return nullptr;
  }

  void import_embeddings() {
    const Tensor* table = in_.tensor("token_embd.weight");
    const std::int64_t words = in_.length("tokenizer.ggml.tokens");
    m_.vocabulary =
        table ? table->extent[1] : in_.find_integer(key("vocab_size"), 1, kMostVocabulary).value_or(words);
    if (m_.vocabulary < 1 || m_.vocabulary > kMostVocabulary)
      fail("the vocabulary is not to be found", "token_embd.weight, or " + key("vocab_size"));
    m_.tied_embeddings = table && !in_.tensor("output.weight") && parts_ == 1;
  }

  // A block's tensors by what they are for. `blk.N.` of a tensor's name is its block.
  void import_blocks() {
    mixers_.resize(static_cast<std::size_t>(layers_));
    for (const Tensor& t : in_.tensors()) {
      std::int64_t layer = -1;
      const std::size_t dot = t.name.find('.', 4);
      if (!t.name.starts_with("blk.") || dot == std::string_view::npos) continue;
      std::from_chars(t.name.data() + 4, t.name.data() + dot, layer);
      if (layer < 0 || layer >= layers_) continue;
      const std::string_view rest = t.name.substr(dot + 1);
      if (rest.starts_with("attn_norm") || rest.starts_with("ffn_") || rest.starts_with("post_") ||
          rest.starts_with("exp_probs"))
        continue;
      mixers_[static_cast<std::size_t>(layer)].push_back(&t);
    }
    const std::int64_t dense = in_.find_integer(key("leading_dense_block_count"), 0, kMostLayers).value_or(0);
    const std::int64_t step = in_.find_integer(key("interleave_moe_layer_step"), 1, kMostLayers).value_or(1);
    for (std::int64_t i = 0; i < layers_; ++i) {
      const auto& mixer = mixers_[static_cast<std::size_t>(i)];
      const bool has_experts = tensor(i, "ffn_down_exps.weight"), has_dense = tensor(i, "ffn_down.weight");
      if (tensor(i, "ffn_down.0.weight"))
        fail("an expert of its own tensor (ffn_down.0)", "the merged tensors of later llama.cpp");
      const bool listed = has_experts || has_dense || !mixer.empty();
      // Of the parts of a split file that are not here, metadata tells.
      const bool moe = has_experts || (!listed && parts_ > 1 && i >= dense && i % step == step - 1);
      if (!listed && parts_ <= 1)
        fail(fmt::format("blk.{}: no tensors", i), fmt::format("tensors of {} blocks", layers_));
      if (mixer.empty() && listed && !m_.blocks.empty() && m_.blocks.back().mixer_only) {
        m_.blocks.back().mixer_only = false;  // Nemotron-H: a network by itself follows a mixer by itself
        if (moe) m_.blocks.back().moe_layer = m_.moe_layers++;
        continue;
      }
      m_.blocks.push_back({Block::Stack::decoder, moe ? m_.moe_layers++ : -1});
      const auto recurs = [](const Tensor* t) {
        return t->name.find(".ssm_") != std::string_view::npos ||
               t->name.find(".shortconv.") != std::string_view::npos;
      };
      m_.blocks.back().recurrent = std::any_of(mixer.begin(), mixer.end(), recurs);
      m_.blocks.back().mixer_only = listed && !has_experts && !has_dense;
      if (m_.blocks.back().recurrent) recurrent_.push_back(i);
    }
    if (m_.moe_layers == 0) fail("no block has experts (ffn_down_exps)", "a Mixture-of-Experts model");
    if (!recurrent_.empty() && parts_ > 1)
      fail("a split file of a model with recurrent layers", "a file that lists all tensors");
    import_networks();
    if (!recurrent_.empty()) import_recurrence();
  }

  void import_networks() {
    const Tensor* down = anywhere("ffn_down_exps.weight");
    m_.expert.intermediate =
        down ? down->extent[0] : in_.integer(key("expert_feed_forward_length"), 1, kMostIntermediate);
    m_.expert.gated = !down || anywhere("ffn_gate_exps.weight") || anywhere("ffn_gate_up_exps.weight");
    m_.expert_bias = anywhere("ffn_down_exps.bias");
    m_.router_bias = anywhere("ffn_gate_inp.bias") || anywhere("exp_probs_b.bias");
    if (const Tensor* shared = anywhere("ffn_down_shexp.weight")) {
      m_.shared = FeedForward{shared->extent[0], anywhere("ffn_gate_shexp.weight") != nullptr};
      m_.shared_gate = anywhere("ffn_gate_inp_shexp.weight");
    } else if (const auto count = in_.find_integer(key("expert_shared_count"), 0, 64);
               count.value_or(0) > 0) {
      m_.shared = FeedForward{
          *count * in_.find_integer(key("expert_shared_feed_forward_length"), 1, kMostIntermediate / 64)
                       .value_or(std::min(m_.expert.intermediate, kMostIntermediate / 64)),
          true};
    }
    for (std::int64_t i = 0; i < layers_; ++i) {
      const Tensor* network = tensor(i, "ffn_down.weight");
      if (!network) continue;
      const FeedForward shape{network->extent[0], tensor(i, "ffn_gate.weight") != nullptr};
      // Beside experts it is a dense residual (Arctic, Gemma 4).
      (tensor(i, "ffn_down_exps.weight") ? m_.shared : m_.dense) = shape;
    }
    const auto dense = [](const Block& b) { return b.moe_layer < 0 && !b.mixer_only; };
    if (!m_.dense && std::any_of(m_.blocks.begin(), m_.blocks.end(), dense))
      m_.dense = FeedForward{in_.integer(key("feed_forward_length"), 1, kMostIntermediate), true};
  }

  // Projections are the matrices that take the hidden state; the one that gives it back is the output. All else counts as
  // it is.
  void import_recurrence() {
    Recurrence r;
    const std::int64_t layer = recurrent_.front();
    const std::vector<const Tensor*>& mixer = mixers_[static_cast<std::size_t>(layer)];
    for (const Tensor* t : mixer) {
      const bool matrix = t->extent[1] > 1 && t->extent[2] == 1;
      const bool out = t->name.ends_with("ssm_out.weight") ||
                       t->name.ends_with("shortconv.out_proj.weight") ||
                       t->name.ends_with("attn_output.weight");
      if (t->elements > kMostHidden * kMostColumns)
        fail(std::string(t->name) + ": too large", "a mixer of a sensible size");
      if (out)
        r.out = t->extent[0];
      else if (matrix && t->extent[0] == m_.hidden)
        r.in += t->extent[1];
      else
        r.other += t->elements;
    }
    const std::int64_t kernel = in_.find_integer(key("ssm.conv_kernel"), 1, 1 << 10).value_or(1);
    if (const auto width = in_.find_integer(key("ssm.inner_size"), 1, kMostColumns)) {
      const std::int64_t state = in_.integer(key("ssm.state_size"), 1, 1 << 12);
      const std::int64_t groups = in_.find_integer(key("ssm.group_count"), 1, kMostHeads).value_or(1);
      r.state = *width * state + (*width + 2 * groups * state) * (kernel - 1);
    } else if (const auto dim = in_.find_integer(key("kda.head_dim"), 1, 1 << 12)) {
      r.state = r.out * *dim + 3 * r.out * (kernel - 1);
    } else {
      r.state = m_.hidden * in_.integer(key("shortconv.l_cache"), 1, 1 << 10);
    }
    m_.recurrence = r;
  }

  /// A number of each layer with attention, of those with a window or of those without; 0 if there is none.
  std::int64_t of_layers(const std::vector<std::int64_t>& list, bool windowed, std::string_view name) const {
    std::int64_t found = 0;
    // Of Nemotron-H's layers some are no block of ours, and have 0.
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i] == 0 ||
          (std::ssize(m_.blocks) == layers_ && (m_.blocks[i].recurrent || windowed_.at(i) != windowed)))
        continue;
      if (found != 0 && found != list[i])
        fail(key(name) + ": differs between layers of a kind", "one number");
      found = list[i];
    }
    return found;
  }

  void import_attention() {
    import_window_layers();
    AttentionShape& a = m_.attention;
    const auto heads = in_.by_layer(key("attention.head_count"), layers_);
    if (!heads) fail(key("attention.head_count") + ": missing", "this key");
    const std::vector<std::int64_t> kv_heads =
        in_.by_layer(key("attention.head_count_kv"), layers_).value_or(*heads);
    const auto shape = [&](bool windowed) {
      AttentionShape s;
      s.heads = of_layers(*heads, windowed, "attention.head_count");
      s.kv_heads = of_layers(kv_heads, windowed, "attention.head_count_kv");
      if (s.heads < 1 || s.heads > kMostHeads || s.kv_heads < 1 || s.kv_heads > s.heads)
        fail(key("attention.head_count") + ": no such heads",
             fmt::format("1 to {} heads, and as many with keys at most", kMostHeads));
      const auto width = [&](const std::string& name) {
        const auto own = windowed ? in_.find_integer(key(name + "_swa"), 1, kMostHidden) : std::nullopt;
        return own ? own : in_.find_integer(key(name), 1, kMostHidden);
      };
      s.head_dim = width("attention.key_length").value_or(m_.hidden / s.heads);
      s.value_dim = width("attention.value_length").value_or(s.head_dim);
      if (s.value_dim == s.head_dim) s.value_dim = 0;
      s.qkv_bias = anywhere("attn_q.bias") || anywhere("attn_qkv.bias");
      s.output_bias = anywhere("attn_output.bias");
      s.qk_norm = anywhere("attn_q_norm.weight");
      s.sinks = anywhere("attn_sinks.weight");
      return s;
    };
    const bool all_windowed = std::find(windowed_.begin(), windowed_.end(), false) == windowed_.end();
    const bool some_windowed = std::find(windowed_.begin(), windowed_.end(), true) != windowed_.end();
    a = shape(all_windowed);
    if (some_windowed && !all_windowed) {
      const AttentionShape own = shape(true);
      if (own.heads != a.heads || own.kv_heads != a.kv_heads || own.head_dim != a.head_dim ||
          own.value_dim != a.value_dim)
        m_.windowed_attention = own;
    }
    const Tensor* gate = anywhere("attn_gate.weight");
    const Tensor* query = anywhere("attn_q.weight");
    a.output_gate = (gate && recurrent_.empty()) || (query && !anywhere("attn_kv_a_mqa.weight") &&
                                                     query->extent[1] == 2 * a.heads * a.head_dim);
    if (const auto latent = in_.find_integer(key("attention.kv_lora_rank"), 1, kMostHidden)) {
      LatentAttention l;
      l.q_lora = in_.find_integer(key("attention.q_lora_rank"), 0, kMostHidden).value_or(0);
      l.kv_lora = *latent;
      l.rope = in_.integer(key("rope.dimension_count"), 1, kMostHidden);
      // Newer files have the widths in the absorbed form beside these.
      const std::int64_t width =
          in_.find_integer(key("attention.key_length_mla"), 1, kMostHidden).value_or(a.head_dim);
      l.nope = width - l.rope;
      l.value = in_.find_integer(key("attention.value_length_mla"), 1, kMostHidden).value_or(a.values());
      if (l.nope < 1)
        fail(fmt::format("keys of {} elements, {} of them rotary", width, l.rope), "more than those");
      a = {a.heads, a.heads, width};
      a.value_dim = l.value;
      a.latent = l;
      m_.windowed_attention.reset();
    }
  }

  void import_window_layers() {
    windowed_.assign(static_cast<std::size_t>(layers_), false);
    window_ = in_.find_integer(key("attention.sliding_window"), 0, kMostPositions).value_or(0);
    if (window_ == 0) return;
    if (in_.length(key("attention.sliding_window_pattern")) > 0) {
      const auto list = *in_.by_layer(key("attention.sliding_window_pattern"), layers_);
      for (std::size_t i = 0; i < windowed_.size(); ++i) windowed_[i] = list[i] != 0;
      return;
    }
    const std::int64_t otherwise =
        architecture_ == "gpt-oss"                                                               ? 2
        : architecture_ == "afmoe" || architecture_ == "exaone-moe" || architecture_ == "llama4" ? 4
                                                                                                 : 0;
    const std::int64_t step =
        in_.find_integer(key("attention.sliding_window_pattern"), 0, kMostLayers).value_or(otherwise);
    for (std::int64_t i = 0; i < layers_; ++i)
      windowed_[static_cast<std::size_t>(i)] = step > 0 && (i + 1) % step != 0;
    if (step == 0)
      unverified_.push_back("which layers have the window of the file is not known; none is taken to");
  }

  void import_windows() {
    if (m_.attention.latent || std::find(windowed_.begin(), windowed_.end(), true) == windowed_.end()) return;
    if (std::ssize(m_.blocks) != layers_)
      fail(key("attention.sliding_window") + ": in a model of mixers by themselves", "no window there");
    m_.attention.window = window_;
    for (std::size_t i = 0; i < windowed_.size(); ++i)
      m_.blocks[i].windowed = windowed_[i] && !m_.blocks[i].recurrent;
  }

  void import_groups() {
    const std::int64_t groups = in_.find_integer(key("expert_group_count"), 0, m_.experts).value_or(1);
    const std::int64_t kept = in_.find_integer(key("expert_group_used_count"), 0, groups).value_or(groups);
    if (groups <= 1 || kept == groups || kept < 1) return;
    m_.expert_groups = groups;
    m_.expert_groups_kept = kept;
  }

  // Exact bytes, where all tensors are listed; the formats nearest to them, for the price of kernels.
  void import_sizes() {
    GgufSum experts, rest, embeddings;
    std::set<std::int64_t> by_layer;
    for (const Tensor& t : in_.tensors()) {
      if (experts.bytes + rest.bytes + embeddings.bytes > kMostResidentBytes)
        fail("more than 10^15 bytes", "a sensible size");
      if (is_prediction(t)) continue;
      if (t.name.find("_exps.") != std::string_view::npos)
        experts.add(t);
      else
        (t.name == "token_embd.weight" || t.name == "output.weight" ? embeddings : rest).add(t);
    }
    std::int64_t listed = 0;
    for (std::int64_t i = 0; i < layers_; ++i) {
      std::int64_t bytes = 0;
      for (const char* name : {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_up_exps"})
        for (const char* kind : {"weight", "bias"})
          if (const Tensor* t = tensor(i, fmt::format("{}.{}", name, kind))) bytes += t->bytes;
      if (bytes == 0) continue;
      ++listed;
      by_layer.insert(bytes / m_.experts);
    }
    m_.expert_format = experts.elements > 0 ? experts.nearest() : rest.nearest();
    m_.format = rest.nearest();
    m_.embedding_format = embeddings.elements > 0 ? embeddings.nearest() : m_.format;
    if (listed == 0) {
      unverified_.push_back(fmt::format(
          "the first of {} parts lists no experts; their format is taken for that of the rest", parts_));
      return;
    }
    const std::int64_t mean = (experts.bytes + listed * m_.experts - 1) / (listed * m_.experts);
    m_.stored_expert = Bytes{mean};
    notes_.push_back(fmt::format(
        "routed experts are {}: {:.2f} bits a weight, {:.2f} to {:.2f} MB by layer; kernels are priced as {}",
        experts.names(), experts.bits(), static_cast<double>(*by_layer.begin()) * 1e-6,
        static_cast<double>(*by_layer.rbegin()) * 1e-6, name_of(m_.expert_format)));
    if (parts_ > 1) {
      unverified_.push_back(fmt::format(
          "the first of {} parts lists experts of {} layers, whose mean is taken; all else by format", parts_,
          listed));
      return;
    }
    m_.stored_resident = Bytes{rest.bytes + embeddings.bytes};
    notes_.push_back(fmt::format("all else is {}: {:.2f} bits a weight", rest.names(), rest.bits()));
    notes_.push_back(fmt::format("{} parameters", experts.elements + rest.elements + embeddings.elements));
  }

  bool is_prediction(const Tensor& t) const {
    if (!t.name.starts_with("blk.")) return false;
    std::int64_t layer = 0;
    std::from_chars(t.name.data() + 4, t.name.data() + t.name.size(), layer);
    return layer >= layers_;
  }

  const GgufFile& in_;
  std::string architecture_;
  MoeModel m_{};
  std::int64_t layers_ = 0, parts_ = 1, window_ = 0;
  std::vector<bool> windowed_{};
  std::vector<std::vector<const Tensor*>> mixers_{};  // [layer]
  std::vector<std::string> notes_{}, unverified_{};
  std::vector<std::int64_t> recurrent_{};  // layers
};

}  // namespace

MoeModel import_gguf(std::span<const std::byte> bytes, const std::string& file) {
  const GgufFile in(bytes, file);
  const auto architecture = in.text("general.architecture");
  if (!architecture) throw InputError(file, 0, "general.architecture: missing", "this key");
  if (in.find_integer(*architecture + ".expert_count", 0, kMostExperts).value_or(0) <= 1)
    throw InputError(file, 0, fmt::format("a dense model ({}), without experts", *architecture),
                     fmt::format("a Mixture-of-Experts model, with {}.expert_count above 1", *architecture));
  const std::vector<std::string_view> known = importable_architectures();
  if (std::find(known.begin(), known.end(), *architecture) == known.end()) {
    const std::string_view near = nearest_name(*architecture, known);
    throw InputError(file, 0, fmt::format("general.architecture: \"{}\"", *architecture),
                     fmt::format("one of {}{}", fmt::join(known, ", "),
                                 near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
  }
  MoeModel model = Importer(in, *architecture).model();
  model.name = name_from(file);
  model.source = fmt::format("{}, GGUF of architecture {}", std::filesystem::path(file).filename().string(),
                             *architecture);
  return checked(model, file);
}

std::vector<std::string_view> importable_architectures() {
  return {kArchitectures.begin(), kArchitectures.end()};
}

}  // namespace specmoe
