// Heads of ordinary and of latent attention.
#include "models/moe/import/config_parts.hpp"
#include "models/moe/model_bounds.hpp"

namespace specmoe {

namespace {

void import_latent(ConfigImport& in) {
  const Config& c = in.config;
  AttentionShape& a = in.model.attention;
  LatentAttention l;
  l.q_lora = c.find_integer({"q_lora_rank"}, 0, kMostHidden).value_or(0);
  l.kv_lora = c.integer({"kv_lora_rank"}, 1, kMostHidden);
  l.nope = c.integer({"qk_nope_head_dim"}, 1, kMostHidden);
  l.rope = c.integer({"qk_rope_head_dim"}, 1, kMostHidden);
  l.value = c.integer({"v_head_dim"}, 1, kMostHidden);
  a.kv_heads = a.heads;
  a.head_dim = l.nope + l.rope;
  a.value_dim = l.value;
  a.latent = l;
  if (c.has({"index_topk"}))
    in.notes.push_back(
        "sparse attention (index_topk) is not modelled: attention sees all positions, and its indexer's "
        "parameters are left "
        "out");
}

}  // namespace

void import_attention(ConfigImport& in) {
  const Config& c = in.config;
  AttentionShape& a = in.model.attention;
  a.heads =
      c.integer({"num_attention_heads", "num_heads", "n_heads", "encoder_attention_heads"}, 1, kMostHeads);
  if (c.has({"kv_lora_rank"})) {
    import_latent(in);
    return;
  }
  a.kv_heads =
      c.find_integer({"num_key_value_heads", "attn_config.kv_n_heads", "num_attention_groups"}, 1, a.heads)
          .value_or(a.heads);
  if (a.heads % a.kv_heads != 0)
    c.fail({"num_key_value_heads", "attn_config.kv_n_heads", "num_attention_groups"},
           "a divisor of the heads");
  const auto head_dim = c.find_integer({"head_dim", "attention_head_dim", "d_kv"}, 1, kMostHidden);
  if (!head_dim && in.model.hidden % a.heads != 0) c.fail_missing({"head_dim", "d_kv"});
  a.head_dim = head_dim.value_or(in.model.hidden / a.heads);
  a.value_dim = c.find_integer({"v_head_dim"}, 1, kMostHidden).value_or(0);
  if (a.value_dim == a.head_dim) a.value_dim = 0;
  const bool all = c.flag({"attention_bias", "use_bias"}, false);
  a.qkv_bias = all || c.flag({"qkv_bias", "use_qkv_bias"}, in.type == "qwen2_moe");
  a.output_bias = all && in.type != "glm4_moe";  // GLM-4.5 has none there
  a.qk_norm = c.flag({"use_qk_norm"}, a.qk_norm);
}

}  // namespace specmoe
