// Every model type that import_config knows, with the public sizes of a real model of it, against that model's published
// count. Sizes are those of the models' config.json, as their readers in transformers and mlx-lm have them.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "models/moe/import/model_import.hpp"
#include "sim/base/input_error.hpp"

using namespace specmoe;

namespace {

struct Known {
  const char* name;
  const char* type;
  std::string config;  // without its braces and model_type
  double total;        // billions, as published
  double unit;         // of its last digit
  int moe_layers;
  std::int64_t experts, top_k;
};

/// ["a", "b", ...] of each layer's kind.
std::string list(int layers, const std::function<std::string(int)>& entry) {
  std::vector<std::string> all;
  for (int i = 0; i < layers; ++i) all.push_back(entry(i));
  return fmt::format("[{}]", fmt::join(all, ", "));
}

/// Layers of `kind`, every step-th `other`.
std::string kinds(int layers, const char* kind, int step, const char* other) {
  return list(layers, [&](int i) { return fmt::format("\"{}\"", (i + 1) % step == 0 ? other : kind); });
}

const std::string kMla =
    R"("kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, )";
const std::string kDeepSeekV3 =
    kMla + R"("num_hidden_layers": 61, "hidden_size": 7168, "vocab_size": 129280, "num_attention_heads": 128,
    "num_key_value_heads": 128, "q_lora_rank": 1536, "n_routed_experts": 256, "num_experts_per_tok": 8, "n_group": 8,
    "topk_group": 4, "topk_method": "noaux_tc", "moe_intermediate_size": 2048, "intermediate_size": 18432,
    "n_shared_experts": 1, "first_k_dense_replace": 3, "moe_layer_freq": 1, "num_nextn_predict_layers": 1,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]})";
const std::string kQwenNext =
    R"("head_dim": 256, "num_attention_heads": 16, "num_key_value_heads": 2, "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_value_head_dim": 128,
    "full_attention_interval": 4, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, )";

const std::vector<Known>& known() {
  static const std::vector<Known> all{
      {"Trinity-Mini", "afmoe",
       R"("num_hidden_layers": 32, "hidden_size": 2048, "vocab_size": 200192, "num_attention_heads": 32,
       "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "num_shared_experts": 1,
       "num_dense_layers": 2, "moe_intermediate_size": 1024, "intermediate_size": 6144, "sliding_window": 2048,
       "layer_types": )" +
           kinds(32, "sliding_attention", 4, "full_attention"),
       26, 1, 30, 128, 8},
      {"Arctic", "arctic",
       R"("num_hidden_layers": 35, "hidden_size": 7168, "vocab_size": 32000, "num_attention_heads": 56,
       "num_key_value_heads": 8, "intermediate_size": 4864, "num_local_experts": 128, "num_experts_per_tok": 2,
       "moe_layer_frequency": 1, "use_residual": true)",
       480, 1, 35, 128, 2},
      {"Ling-lite", "bailing_moe",
       R"("num_hidden_layers": 28, "hidden_size": 2048, "vocab_size": 126464, "num_attention_heads": 16,
       "num_key_value_heads": 4, "head_dim": 128, "num_experts": 64, "num_experts_per_tok": 6, "num_shared_experts": 2,
       "moe_intermediate_size": 1408, "intermediate_size": 5632, "first_k_dense_replace": 0)",
       16.8, 0.1, 28, 64, 6},
      {"DBRX", "dbrx",
       R"("n_layers": 40, "d_model": 6144, "vocab_size": 100352, "n_heads": 48, "attn_config": {"kv_n_heads": 8},
       "ffn_config": {"moe_num_experts": 16, "moe_top_k": 4, "ffn_hidden_size": 10752})",
       132, 1, 40, 16, 4},
      {"DeepSeekMoE", "deepseek",
       R"("num_hidden_layers": 28, "hidden_size": 2048, "vocab_size": 102400, "num_attention_heads": 16,
       "num_key_value_heads": 16, "n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2,
       "moe_intermediate_size": 1408, "intermediate_size": 10944, "first_k_dense_replace": 1, "moe_layer_freq": 1)",
       16.4, 0.1, 27, 64, 6},
      {"DeepSeek-V2-Lite", "deepseek_v2",
       kMla +
           R"("num_hidden_layers": 27, "hidden_size": 2048, "vocab_size": 102400, "num_attention_heads": 16,
       "q_lora_rank": null, "n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2, "n_group": 1,
       "topk_group": 1, "topk_method": "greedy", "moe_intermediate_size": 1408, "intermediate_size": 10944,
       "first_k_dense_replace": 1, "moe_layer_freq": 1)",
       15.7, 0.1, 26, 64, 6},
      {"DeepSeek-V3", "deepseek_v3", kDeepSeekV3, 671, 1, 58, 256, 8},
      {"DeepSeek-V3.2", "deepseek_v32",
       kDeepSeekV3 + R"(, "index_n_heads": 64, "index_head_dim": 128, "index_topk": 2048)", 671, 1, 58, 256,
       8},
      {"dots.llm1", "dots1",
       R"("num_hidden_layers": 62, "hidden_size": 4096, "vocab_size": 152064, "num_attention_heads": 32,
       "num_key_value_heads": 32, "head_dim": 128, "n_routed_experts": 128, "num_experts_per_tok": 6,
       "n_shared_experts": 2, "moe_intermediate_size": 1408, "intermediate_size": 10944, "first_k_dense_replace": 1)",
       142, 1, 61, 128, 6},
      {"ERNIE-4.5-300B-A47B", "ernie4_5_moe",
       R"("num_hidden_layers": 54, "hidden_size": 8192, "vocab_size": 103424, "num_attention_heads": 64,
       "num_key_value_heads": 8, "moe_num_experts": 64, "moe_k": 8, "moe_num_shared_experts": 0,
       "moe_intermediate_size": 3584, "intermediate_size": 28672, "moe_layer_start_index": 3, "moe_layer_end_index": 53,
       "moe_layer_interval": 1, "use_bias": false)",
       300, 1, 51, 64, 8},
      {"K-EXAONE", "exaone_moe",
       R"("num_hidden_layers": 48, "hidden_size": 6144, "vocab_size": 153600, "num_attention_heads": 64,
       "num_key_value_heads": 8, "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "num_shared_experts": 1,
       "moe_intermediate_size": 2048, "intermediate_size": 18432, "sliding_window": 128, "is_moe_layer": )" +
           list(48, [](int i) { return i == 0 ? "false" : "true"; }) + R"(, "layer_types": )" +
           kinds(48, "sliding_attention", 4, "full_attention"),
       236, 1, 47, 128, 8},
      // experts 30 x 128 x 3 x 2816 x 704 = 22.84, dense 30 x 3 x 2816 x 2112 = 0.54, attention of 25 layers 34.6 M and of 5
      // layers 54.8 M = 1.14, embedding 0.74: 25.25
      {"Gemma-4-26B-A4B", "gemma4_text",
       R"("num_hidden_layers": 30, "hidden_size": 2816, "vocab_size": 262144, "num_attention_heads": 16,
       "num_key_value_heads": 8, "num_global_key_value_heads": 2, "head_dim": 256, "global_head_dim": 512,
       "attention_k_eq_v": true, "num_experts": 128, "top_k_experts": 8, "moe_intermediate_size": 704,
       "intermediate_size": 2112, "hidden_size_per_layer_input": 0, "sliding_window": 1024, "layer_types": )" +
           kinds(30, "sliding_attention", 6, "full_attention"),
       25.25, 0.01, 30, 128, 8},
      {"GLM-4.5-Air", "glm4_moe",
       R"("num_hidden_layers": 46, "hidden_size": 4096, "vocab_size": 151552, "num_attention_heads": 96,
       "num_key_value_heads": 8, "head_dim": 128, "attention_bias": true, "use_qk_norm": false, "n_routed_experts": 128,
       "num_experts_per_tok": 8, "n_shared_experts": 1, "moe_intermediate_size": 1408, "intermediate_size": 10944,
       "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "num_nextn_predict_layers": 1)",
       106, 1, 45, 128, 8},
      {"GLM-5", "glm_moe_dsa",
       R"("num_hidden_layers": 78, "hidden_size": 6144, "vocab_size": 154880, "num_attention_heads": 64, "q_lora_rank": 2048,
       "kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256, "index_topk": 2048,
       "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1, "moe_intermediate_size": 2048,
       "intermediate_size": 12288, "mlp_layer_types": )" +
           list(78, [](int i) { return i < 3 ? "\"dense\"" : "\"sparse\""; }),
       744, 1, 75, 256, 8},
      {"gpt-oss-20b", "gpt_oss",
       R"("num_hidden_layers": 24, "hidden_size": 2880, "vocab_size": 201088, "num_attention_heads": 64,
       "num_key_value_heads": 8, "head_dim": 64, "attention_bias": true, "num_local_experts": 32, "num_experts_per_tok": 4,
       "experts_per_token": 4, "intermediate_size": 2880, "sliding_window": 128, "tie_word_embeddings": false,
       "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]},
       "layer_types": )" +
           kinds(24, "sliding_attention", 2, "full_attention"),
       20.9, 0.1, 24, 32, 4},
      {"Granite-3.1-3B-A800M", "granitemoe",
       R"("num_hidden_layers": 32, "hidden_size": 1536, "vocab_size": 49155, "num_attention_heads": 24,
       "num_key_value_heads": 8, "num_local_experts": 40, "num_experts_per_tok": 8, "intermediate_size": 512,
       "attention_bias": false, "tie_word_embeddings": true)",
       3.3, 0.1, 32, 40, 8},
      {"Granite-4.0-H-Tiny", "granitemoehybrid",
       R"("num_hidden_layers": 40, "hidden_size": 1536, "vocab_size": 100352, "num_attention_heads": 12,
       "num_key_value_heads": 4, "num_local_experts": 64, "num_experts_per_tok": 6, "intermediate_size": 512,
       "shared_intermediate_size": 1024, "mamba_n_heads": 48, "mamba_d_head": 64, "mamba_n_groups": 1,
       "mamba_d_state": 128, "mamba_d_conv": 4, "mamba_expand": 2, "tie_word_embeddings": true, "layer_types": )" +
           list(40, [](int i) { return i % 10 == 5 ? "\"attention\"" : "\"mamba\""; }),
       7, 1, 40, 64, 6},
      {"Hunyuan-A13B", "hunyuan",
       R"("num_hidden_layers": 32, "hidden_size": 4096, "vocab_size": 128167, "num_attention_heads": 32,
       "num_key_value_heads": 8, "attention_head_dim": 128, "num_experts": 64, "num_shared_expert": )" +
           list(32, [](int) { return "1"; }) + R"(, "moe_topk": )" + list(32, [](int) { return "8"; }) +
           R"(, "moe_intermediate_size": )" + list(32, [](int) { return "3072"; }) +
           R"(, "intermediate_size": 3072, "use_mixed_mlp_moe": true, "use_qk_norm": true, "tie_word_embeddings": true)",
       80, 1, 32, 64, 8},
      {"Jamba-v0.1", "jamba",
       R"("num_hidden_layers": 32, "hidden_size": 4096, "vocab_size": 65536, "num_attention_heads": 32,
       "num_key_value_heads": 8, "num_experts": 16, "num_experts_per_tok": 2, "intermediate_size": 14336,
       "expert_layer_period": 2, "expert_layer_offset": 1, "attn_layer_period": 8, "attn_layer_offset": 4,
       "mamba_expand": 2, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_dt_rank": 256, "mamba_conv_bias": true)",
       52, 1, 16, 16, 2},
      {"Kimi-K2", "kimi_k2",
       kMla +
           R"("num_hidden_layers": 61, "hidden_size": 7168, "vocab_size": 163840, "num_attention_heads": 64,
       "q_lora_rank": 1536, "n_routed_experts": 384, "num_experts_per_tok": 8, "n_group": 1, "topk_group": 1,
       "moe_intermediate_size": 2048, "intermediate_size": 18432, "n_shared_experts": 1, "first_k_dense_replace": 1)",
       1000, 1000, 60, 384, 8},
      // published as 48 B; experts 26 x 257 x 3 x 2304 x 1024 = 47.29, dense 0.06, KDA 20 x 39.6 M = 0.79, MLA 7 x 29.1 M =
      // 0.20, embeddings 0.75, routers 0.02: 49.12
      {"Kimi-Linear", "kimi_linear",
       kMla +
           R"("num_hidden_layers": 27, "hidden_size": 2304, "vocab_size": 163840, "num_attention_heads": 32,
       "q_lora_rank": null, "num_experts": 256, "num_experts_per_token": 8, "num_shared_experts": 1,
       "num_expert_group": 1, "topk_group": 1, "moe_intermediate_size": 1024, "intermediate_size": 9216,
       "first_k_dense_replace": 1, "moe_layer_freq": 1, "linear_attn_config": {"num_heads": 32, "head_dim": 128,
       "short_conv_kernel_size": 4, "full_attn_layers": [4, 8, 12, 16, 20, 24, 27],
       "kda_layers": [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 25, 26]})",
       49.12, 0.01, 26, 256, 8},
      {"LFM2-8B-A1B", "lfm2_moe",
       R"("num_hidden_layers": 24, "hidden_size": 2048, "vocab_size": 65536, "num_attention_heads": 32,
       "num_key_value_heads": 8, "num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 1792,
       "intermediate_size": 7168, "num_dense_layers": 2, "conv_L_cache": 3, "full_attn_idxs": [2, 6, 10, 14, 18, 21])",
       8.3, 0.1, 22, 32, 4},
      {"Llama-4-Maverick", "llama4_text",
       R"("num_hidden_layers": 48, "hidden_size": 5120, "vocab_size": 202048, "num_attention_heads": 40,
       "num_key_value_heads": 8, "head_dim": 128, "num_local_experts": 128, "num_experts_per_tok": 1,
       "intermediate_size": 8192, "intermediate_size_mlp": 16384, "interleave_moe_layer_step": 2,
       "attention_chunk_size": 8192, "no_rope_layer_interval": 4)",
       400, 1, 24, 128, 1},
      {"LongCat-Flash", "longcat_flash",
       kMla + R"("num_layers": 28, "hidden_size": 6144, "vocab_size": 131072, "num_attention_heads": 64,
       "q_lora_rank": 1536, "n_routed_experts": 512, "zero_expert_num": 256, "moe_topk": 12,
       "expert_ffn_hidden_size": 2048, "ffn_hidden_size": 12288)",
       560, 1, 28, 512, 12},
      {"MiMo-V2-Flash", "mimo_v2_flash",
       R"("num_hidden_layers": 48, "hidden_size": 4096, "vocab_size": 152576, "num_attention_heads": 64,
       "num_key_value_heads": 4, "head_dim": 192, "v_head_dim": 128, "swa_num_attention_heads": 64,
       "swa_num_key_value_heads": 8, "swa_head_dim": 192, "swa_v_head_dim": 128, "sliding_window_size": 128,
       "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": null, "moe_intermediate_size": 2048,
       "intermediate_size": 16384, "add_swa_attention_sink_bias": true, "moe_layer_freq": )" +
           list(48, [](int i) { return i == 0 ? "0" : "1"; }) + R"(, "hybrid_layer_pattern": )" +
           list(48, [](int i) { return i == 0 || i % 6 == 5 ? "0" : "1"; }),
       309, 1, 47, 256, 8},
      {"MiniMax-Text-01", "minimax",
       R"("num_hidden_layers": 80, "hidden_size": 6144, "vocab_size": 200064, "num_attention_heads": 64,
       "num_key_value_heads": 8, "head_dim": 128, "num_local_experts": 32, "num_experts_per_tok": 2,
       "intermediate_size": 9216, "shared_intermediate_size": 0, "attn_type_list": )" +
           list(80, [](int i) { return i % 8 == 7 ? "1" : "0"; }),
       456, 1, 80, 32, 2},
      {"MiniMax-M2.5", "minimax_m2",
       R"("num_hidden_layers": 62, "hidden_size": 3072, "vocab_size": 200064, "num_attention_heads": 48,
       "num_key_value_heads": 8, "head_dim": 128, "num_local_experts": 256, "num_experts_per_tok": 8,
       "intermediate_size": 1536, "shared_intermediate_size": 0, "use_qk_norm": true, "use_routing_bias": true,
       "num_mtp_modules": 3, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]})",
       229, 1, 62, 256, 8},
      {"Mixtral-8x7B", "mixtral",
       R"("num_hidden_layers": 32, "hidden_size": 4096, "vocab_size": 32000, "num_attention_heads": 32,
       "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 14336,
       "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16")",
       46.7, 0.1, 32, 8, 2},
      {"Nemotron-3-Nano", "nemotron_h",
       R"("num_hidden_layers": 52, "hidden_size": 2688, "vocab_size": 131072, "num_attention_heads": 32,
       "num_key_value_heads": 2, "head_dim": 128, "n_routed_experts": 128, "num_experts_per_tok": 6, "n_shared_experts": 1,
       "moe_intermediate_size": 1856, "moe_shared_expert_intermediate_size": 3712, "intermediate_size": 1856,
       "mamba_num_heads": 64, "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4,
       "n_group": 1, "topk_group": 1,
       "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME")",
       31.6, 0.1, 23, 128, 6},
      {"NLLB-MoE", "nllb-moe",
       R"("num_hidden_layers": 24, "encoder_layers": 24, "decoder_layers": 24, "d_model": 2048, "vocab_size": 256206,
       "encoder_attention_heads": 16, "decoder_attention_heads": 16, "encoder_ffn_dim": 8192, "decoder_ffn_dim": 8192,
       "num_experts": 128, "encoder_sparse_step": 4, "decoder_sparse_step": 4)",
       54.5, 0.1, 12, 128, 2},
      {"OLMoE", "olmoe",
       R"("num_hidden_layers": 16, "hidden_size": 2048, "vocab_size": 50304, "num_attention_heads": 16,
       "num_key_value_heads": 16, "num_experts": 64, "num_experts_per_tok": 8, "intermediate_size": 1024)",
       6.9, 0.1, 16, 64, 8},
      {"Phi-3.5-MoE", "phimoe",
       R"("num_hidden_layers": 32, "hidden_size": 4096, "vocab_size": 32064, "num_attention_heads": 32,
       "num_key_value_heads": 8, "num_local_experts": 16, "num_experts_per_tok": 2, "intermediate_size": 6400,
       "attention_bias": true, "sliding_window": 131072)",
       41.9, 0.1, 32, 16, 2},
      {"Qwen1.5-MoE-A2.7B", "qwen2_moe",
       R"("num_hidden_layers": 24, "hidden_size": 2048, "vocab_size": 151936, "num_attention_heads": 16,
       "num_key_value_heads": 16, "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
       "shared_expert_intermediate_size": 5632, "intermediate_size": 5632, "decoder_sparse_step": 1,
       "use_sliding_window": false, "sliding_window": 32768, "tie_word_embeddings": false)",
       14.3, 0.1, 24, 60, 4},
      {"Qwen3.5-35B-A3B", "qwen3_5_moe_text",
       kQwenNext + R"("num_hidden_layers": 40, "hidden_size": 2048, "vocab_size": 248320, "num_experts": 256,
       "num_experts_per_tok": 8)",
       35, 1, 40, 256, 8},
      {"Qwen3-30B-A3B", "qwen3_moe",
       R"("num_hidden_layers": 48, "hidden_size": 2048, "vocab_size": 151936, "num_attention_heads": 32,
       "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8,
       "moe_intermediate_size": 768, "intermediate_size": 6144, "decoder_sparse_step": 1, "mlp_only_layers": [],
       "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16")",
       30.5, 0.1, 48, 128, 8},
      {"Qwen3-Next-80B-A3B", "qwen3_next",
       kQwenNext + R"("num_hidden_layers": 48, "hidden_size": 2048, "vocab_size": 151936, "num_experts": 512,
       "num_experts_per_tok": 10)",
       80, 1, 48, 512, 10},
      {"Solar-Open-100B", "solar_open",
       R"("num_hidden_layers": 48, "hidden_size": 4096, "vocab_size": 196608, "num_attention_heads": 64,
       "num_key_value_heads": 8, "head_dim": 128, "n_routed_experts": 128, "num_experts_per_tok": 8,
       "n_shared_experts": 1, "moe_intermediate_size": 1280, "intermediate_size": 10240, "first_k_dense_replace": 0)",
       102, 1, 48, 128, 8},
      {"Step-3.5-Flash", "step3p5",
       R"("num_hidden_layers": 45, "hidden_size": 4096, "vocab_size": 128896, "num_attention_heads": 64,
       "num_attention_groups": 8, "head_dim": 128, "moe_num_experts": 288, "moe_top_k": 8, "moe_intermediate_size": 1280,
       "share_expert_dim": 1280, "intermediate_size": 11264, "sliding_window": 512,
       "attention_other_setting": {"num_attention_heads": 96, "num_attention_groups": 8, "head_dim": 128},
       "moe_layers_enum": "3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44",
       "layer_types": )" +
           list(45, [](int i) { return i % 4 == 0 ? "\"full_attention\"" : "\"sliding_attention\""; }),
       196, 1, 42, 288, 8},
      {"Switch-Base-128", "switch_transformers",
       R"("num_layers": 12, "num_decoder_layers": 12, "num_sparse_encoder_layers": 6, "num_sparse_decoder_layers": 6,
       "d_model": 768, "d_ff": 3072, "d_kv": 64, "num_heads": 12, "num_experts": 128, "vocab_size": 32128,
       "feed_forward_proj": "relu", "relative_attention_num_buckets": 32)",
       7.4, 0.1, 12, 128, 1},
  };
  return all;
}

std::string document(const std::string& type, const std::string& config) {
  return fmt::format("{{\n\"model_type\": \"{}\",\n{}\n}}", type, config);
}

MoeModel imported(const Known& k) {
  return import_config(document(k.type, k.config), fmt::format("{}/config.json", k.name));
}

const Known& of_type(const std::string& type) {
  return *std::find_if(known().begin(), known().end(), [&](const Known& k) { return k.type == type; });
}

std::string complaint(const std::string& text) {
  try {
    import_config(text, "config.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

/// The complaint about Mixtral with one text in it replaced.
std::string complaint(const std::string& from, const std::string& to) {
  std::string text = document("mixtral", of_type("mixtral").config);
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return complaint(text.replace(at, from.size(), to));
}

}  // namespace

TEST_CASE("import: every model type gives its model's published count, within 1 % or to the printed digit") {
  for (const Known& k : known()) {
    CAPTURE(k.name);
    const MoeModel model = imported(k);
    const double billions = model.parameters().total * 1e-9;
    CAPTURE(billions);
    CHECK((std::abs(billions / k.total - 1) <= 0.01 ||
           std::round(billions / k.unit) == std::round(k.total / k.unit)));
    CHECK(model.moe_layers == k.moe_layers);
    CHECK(model.experts == k.experts);
    CHECK(model.top_k == k.top_k);
  }
}

TEST_CASE("import: every model type of the table has a model above") {
  std::vector<std::string_view> types;
  for (const Known& k : known()) types.push_back(k.type);
  std::sort(types.begin(), types.end());
  CHECK(types == importable_model_types());
}

TEST_CASE("import: what is written is read back as the same model") {
  for (const Known& k : known()) {
    CAPTURE(k.name);
    const MoeModel model = imported(k);
    const MoeModel again = MoeModel::read(Yaml::parse(model.written(), "again.yaml"));
    CHECK(again.written() == model.written());
    CHECK(again.parameters().total == model.parameters().total);
    CHECK(again.parameters().active == model.parameters().active);
    CHECK(again.resident_bytes() == model.resident_bytes());
    CHECK(again.expert_bytes() == model.expert_bytes());
    StepShape shape;
    shape.add_sequence(5000, 1, model.attention.window);
    CHECK(again.kv_bytes(shape) == model.kv_bytes(shape));
  }
}

TEST_CASE("import: the shipped models are those that their configurations give") {
  const std::pair<const char*, const char*> pairs[]{{"mixtral", "mixtral-8x7b"},
                                                    {"deepseek", "deepseek-moe-16b"},
                                                    {"deepseek_v2", "deepseek-v2-lite"},
                                                    {"deepseek_v3", "deepseek-v3"},
                                                    {"gpt_oss", "gpt-oss-20b"},
                                                    {"qwen3_moe", "qwen3-30b-a3b"},
                                                    {"qwen3_next", "qwen3-next-80b-a3b"},
                                                    {"llama4_text", "llama4-maverick"},
                                                    {"glm4_moe", "glm-4.5-air"},
                                                    {"arctic", "arctic"},
                                                    {"phimoe", "phi-3.5-moe"},
                                                    {"olmoe", "olmoe-1b-7b"},
                                                    {"granitemoe", "granite-3.x-3b-a800m"},
                                                    {"switch_transformers", "switch-base-128"},
                                                    {"nllb-moe", "nllb-moe-54b"}};
  for (const auto& [type, name] : pairs) {
    CAPTURE(name);
    const MoeModel from_config = imported(of_type(type)), shipped = MoeModel::load(name);
    // biases of routers apart, which config.json does not always tell
    CHECK(from_config.parameters().total == doctest::Approx(shipped.parameters().total).epsilon(1e-6));
    CHECK(from_config.expert_bytes() == shipped.expert_bytes());
    StepShape shape;
    shape.add_sequence(9000, 1, shipped.attention.window);
    CHECK(from_config.kv_bytes(shape) == shipped.kv_bytes(shape));
  }
}

TEST_CASE("import: latent attention, groups of experts, fp8 and blocks that predict, of DeepSeek-V3") {
  const MoeModel model = imported(of_type("deepseek_v3"));
  REQUIRE(model.attention.latent);
  CHECK(model.attention.latent->q_lora == 1536);
  CHECK(model.attention.cached() == 576);
  CHECK(model.expert_groups == 8);
  CHECK(model.expert_groups_kept == 4);
  CHECK(model.format == WeightFormat::fp8);
  CHECK(model.expert_format == WeightFormat::fp8);
  CHECK(model.embedding_format == WeightFormat::bf16);
  CHECK(model.prediction_blocks == 1);
  // a MoE block: attention 187.1 M, experts 257 x 44.04 M, router 1.8 M; the projection 2 x 7168^2 = 102.8 M: 11.61 B
  CHECK(model.parameters().prediction == doctest::Approx(11.61e9).epsilon(0.001));
}

TEST_CASE("import: which layers mix in which way") {
  const auto kinds_of = [](const char* type) {
    std::string text;
    const MoeModel model = imported(of_type(type));
    for (const Block& b : model.blocks)
      text += b.recurrent ? (b.mixer_only ? 'r' : 'R') : b.windowed ? 'W' : b.mixer_only ? 'a' : 'A';
    return text.substr(0, 12);
  };
  CHECK(kinds_of("qwen3_next") == "RRRARRRARRRA");
  CHECK(kinds_of("jamba") == "RRRRARRRRRRR");
  CHECK(kinds_of("kimi_linear") == "RRRARRRARRRA");
  CHECK(kinds_of("lfm2_moe") == "RRARRRARRRAR");
  CHECK(kinds_of("minimax") == "RRRRRRRARRRR");
  CHECK(kinds_of("granitemoehybrid") == "RRRRRARRRRRR");
  CHECK(kinds_of("nemotron_h") == "RRrARRrARRrA");  // ME ME M *E ME ME M *E
  CHECK(kinds_of("gpt_oss") == "WAWAWAWAWAWA");
  CHECK(kinds_of("gemma4_text") == "WWWWWAWWWWWA");
  CHECK(kinds_of("llama4_text") == "WWWAWWWAWWWA");
  CHECK(kinds_of("mimo_v2_flash") == "AWWWWAWWWWWA");
  CHECK(kinds_of("mixtral") == "AAAAAAAAAAAA");
  CHECK(kinds_of("qwen2_moe") == "AAAAAAAAAAAA");  // use_sliding_window is false
}

TEST_CASE("import: the name is the file's or its folder's, in small letters") {
  const std::string text = document("mixtral", of_type("mixtral").config);
  CHECK(import_config(text, "hub/Mixtral 8x7B/config.json").name == "mixtral-8x7b");
  CHECK(import_config(text, "mistralai--Mixtral_config.json").name == "mistralai--mixtral");
  CHECK(import_config(text, "config.json").name == "model");
}

TEST_CASE("import: a language model within another is found, with what only the outer object has") {
  const std::string text = R"({"model_type": "llava", "tie_word_embeddings": true, "torch_dtype": "float32",
    "vision_config": {"hidden_size": 1, "num_hidden_layers": 2},
    "text_config": )" + document("mixtral", R"("num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 10,
    "num_attention_heads": 4, "num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size": 8)") +
                           "}";
  const MoeModel model = import_config(text, "config.json");
  CHECK(model.hidden == 64);
  CHECK(model.tied_embeddings);
  CHECK(model.format == WeightFormat::fp32);
}

TEST_CASE("import: formats are those of quantization_config") {
  const auto formats = [](const std::string& quantization) {
    const MoeModel model =
        import_config(document("mixtral", of_type("mixtral").config + ", " + quantization), "config.json");
    return fmt::format("{} {} {}", name_of(model.expert_format), name_of(model.format),
                       name_of(model.embedding_format));
  };
  CHECK(formats(R"("x": 1)") == "bf16 bf16 bf16");
  CHECK(formats(R"("quantization_config": {"quant_method": "fp8"})") == "fp8 fp8 bf16");
  CHECK(formats(R"("quantization_config": {"quant_method": "mxfp4"})") == "mxfp4 bf16 bf16");
  CHECK(formats(R"("quantization_config": {"quant_method": "awq", "bits": 4})") == "int4 int4 bf16");
  CHECK(formats(R"("quantization": {"bits": 8, "group_size": 64})") == "int8 int8 bf16");
  // Kimi-K2-Thinking's: the routed experts alone
  CHECK(
      formats(
          R"("quantization_config": {"quant_method": "compressed-tensors", "ignore": ["lm_head", "re:.*self_attn.*"],
    "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}}})") ==
      "int4 bf16 bf16");
  CHECK(formats(R"("quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"})") ==
        "mxfp4 mxfp4 bf16");
  CHECK(formats(R"("expert_dtype": "fp4")") == "mxfp4 bf16 bf16");
}

TEST_CASE("import: every fault is one line that names file, line, key and what was expected") {
  CHECK(complaint("\"x\"") ==
        "config.json: is no JSON object; expected a config.json of Hugging Face transformers");
  CHECK(complaint("{\"a\": 1,\n\"b\" 2}") ==
        "config.json:2: is not JSON; expected a config.json of Hugging Face transformers");
  CHECK(complaint("{\"a\": 1e999}") ==
        "config.json: is not JSON; expected a config.json of Hugging Face transformers");
  CHECK(complaint(std::string(100'000, '[')).find("config.json: nested too deep") == 0);
  CHECK(complaint("{}") == "config.json: model_type: missing; expected this key");
  CHECK(complaint(R"({"model_type": "llama", "num_hidden_layers": 32})") ==
        "config.json: a dense model (llama), without experts; expected a Mixture-of-Experts model, with "
        "num_local_experts or "
        "n_routed_experts or num_experts or moe_num_experts or ffn_config.moe_num_experts above 1");
  CHECK(complaint("\"num_local_experts\": 8", "\"num_local_experts\": 0")
            .find("config.json: a dense model (mixtral)") == 0);
  CHECK(complaint("\"mixtral\"", "\"mixtrl\"").ends_with("(did you mean \"mixtral\"?)"));
  CHECK(complaint("\"mixtral\"", "\"mixtrl\"")
            .find("config.json:2: model_type: \"mixtrl\"; expected one of afmoe, ") == 0);
  CHECK(complaint("\"hidden_size\": 4096, ", "") ==
        "config.json: hidden_size or d_model: missing; expected one of these keys");
  CHECK(complaint("\"num_experts_per_tok\": 2", "\"x\": 2")
            .find("config.json: num_experts_per_tok or num_experts_per_token or experts_per_token or ") == 0);
  CHECK(complaint("\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 9") ==
        "config.json:4: num_experts_per_tok: 9; expected a whole number from 1 to 8");
  CHECK(complaint("\"hidden_size\": 4096", "\"hidden_size\": 1e9") ==
        "config.json:3: hidden_size: 1000000000.0; expected a whole number from 1 to 65536");
  CHECK(complaint("\"num_hidden_layers\": 32", "\"num_hidden_layers\": 18446744073709551615") ==
        "config.json:3: num_hidden_layers: 18446744073709551615; expected a whole number from 1 to 1024");
  CHECK(complaint("\"num_key_value_heads\": 8", "\"num_key_value_heads\": 7") ==
        "config.json:4: num_key_value_heads: 7; expected a divisor of the heads");
  CHECK(complaint("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": 0") ==
        "config.json:5: tie_word_embeddings: 0; expected true or false");
  CHECK(complaint("\"bfloat16\"", "\"int4\"") ==
        "config.json:5: torch_dtype: \"int4\"; expected bfloat16, float16 or float32");
}

TEST_CASE("import: one number for all layers may be a list, if they are alike") {
  CHECK(complaint("\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": [2, 2]") == "accepted");
  CHECK(complaint("\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": [2, 3]") ==
        "config.json:4: num_experts_per_tok: a list; expected one number for all layers");
}

TEST_CASE("import: Switch-C's decoder, published with fewer layers than sparse layers, has those") {
  const MoeModel model =
      import_config(document("switch_transformers",
                             R"("num_layers": 15, "num_decoder_layers": 12, "num_sparse_encoder_layers": 15,
      "num_sparse_decoder_layers": 15, "d_model": 2080, "d_ff": 6144, "d_kv": 64, "num_heads": 30, "num_experts": 2048,
      "vocab_size": 32128)"),
                    "config.json");
  CHECK(model.moe_layers == 30);
  CHECK(model.parameters().total == doctest::Approx(1571e9).epsilon(0.001));
  CHECK(model.unverified.find("num_sparse_decoder_layers") == 0);
}
