// Writes the seeds of all fuzz targets: seeds/<target>/..., from files that are shipped and from what the writers write.
//
//   specmoe_fuzz_seeds FOLDER
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "sim/base/build_info.hpp"
#include "sim/base/random.hpp"
#include "tests/fuzz/small_machine.hpp"
#include "tests/moe/small_gguf.hpp"
#include "tests/moe/tiny_model.hpp"
#include "tests/temporary_folder.hpp"

namespace fs = std::filesystem;
using namespace specmoe;

namespace {

class Seeds {
 public:
  explicit Seeds(fs::path folder) : folder_(std::move(folder)) {}
  void add(const std::string& target, const std::string& name, const std::string& content) const {
    fs::create_directories(folder_ / target);
    std::ofstream(folder_ / target / name, std::ios::binary) << content;
  }
  /// Up to `most` bytes of a file of the project.
  void add_shipped(const std::string& target, const fs::path& file, std::size_t most = 1 << 14) const {
    add(target, file.filename().string(), read_text(home() / file).substr(0, most));
  }

 private:
  fs::path folder_;
};

const std::string kScenario = R"(name: small
description: all keys
seed: 1
platform: small
model: {name: tiny, expert_format: int4, top_k: 2, layers: 2}
routing: {generate: {zipf: 0.6, reuse: 0.4, correlation: 0}}
workload: {requests: 2, first_request: 1, batch: 2, prompt_tokens: 3, output_tokens: 4, prefill: true, prefill_chunk: 2}
placement: {experts: ssd, host_memory: pinned, expert_bytes: model}
transfer: {pieces: 4 MB}
miss: {compute: gpu, cpu_layers: 0}
engine: {deduplicate: true, grouped: faster, workspace: 64 MiB}
cache: {capacity: 50 %, scope: global, eviction: {policy: mrs, alpha: 0.3}, start: popular}
host_cache: {capacity: 1 GB, eviction: lru}
prefetch: {predictor: gate, window: 1, budget: 1 MB, step_budget: 1 GB, queue: true, accuracy: 0.886}
)";
const std::string kStrategies = R"(name: several
seed: 2
platform: small
model: tiny
routing: {generate: {counts: [[1, 2, 3, 4]], reuse: 0, correlation: 0.5}}
workload: {requests: 1, batch: 1, prompt_tokens: 2, output_tokens: 3, prefill: false}
cache: {capacity: auto}
strategies:
  - {name: lru, miss: {compute: split}}
  - {name: external, prefetch: {predictor: {name: external, file: p.h5, confidence: 0.5}}}
  - name: network
    transfer: {pieces: matrices}
    prefetch:
      predictor: {name: intelligent, confidence: 0.4}
      network: {runs_on: stream, precision: bf16, parameters: 8.4e6, step: [[1, 512, 1024]], layer: [[3, 320, 960]], layer_attention: [[4, 64, -1]]}
  - {name: belady, cache: {capacity: 1 MB, scope: layer, eviction: belady, start: random}}
  - {name: copies, miss: {format: int2, thresholds: [0.6, 0.9], skip_below: 0.05, cpu_layers: 1}}
)";
const std::string kStudy = R"(name: study
description: all kinds of axes
scenario: {name: base, seed: 1, platform: small, model: tiny, cache: {capacity: auto}, workload: {requests: 1}, links: {a: {bandwidth: 1 GB/s}}, strategies: [{name: LRU}]}
set: {cache.scope: layer}
axes:
  workload.batch: [1, 2, 4]
  capacity: {key: cache.capacity, from: 1 GB, to: 4 GB, points: 3, scale: log}
  budget: {key: prefetch.budget, from: 1, to: 9, step: 4}
  pairs: {keys: [a, links.a.bandwidth], values: [[1, 2 GB/s], [2, x2]]}
  kinds: {variants: {plain: , other: {strategies[LRU].name: x, model.layers: 3}}}
  one: {one_at_a_time: [links.a.bandwidth], factors: [x0.5, x2]}
replications: {count: 3, by: requests}
baseline: {strategy: LRU, workload.batch: 1}
)";

void yaml(const Seeds& seeds) {
  for (const char* file : {"platforms/jetson_agx_orin_32gb.yaml", "models/moe/specs/gpt-oss-20b.yaml",
                           "scenarios/quickstart.yaml", "scenarios/studies/ssd.yaml"})
    seeds.add_shipped("yaml", file, 4096);
  seeds.add("yaml", "all.yaml",
            "a: &x [1, 2.5 GB/s, {name: n, b: 'q ''q'}]\nb: *x\nc: |\n  text\n? d\n: \"\\u00e9\"\n");
  seeds.add("yaml", "path.yaml", "a: [{name: b, c: 1}]\n" + std::string(1, '\0') + "a[b].c");
  for (const char* name : {"gpt-oss-20b", "switch-base-128", "glam-64b-64e", "qwen1.5-moe-a2.7b"})
    seeds.add_shipped("model", "models/moe/specs/" + std::string(name) + ".yaml");
  seeds.add("model", "tiny.yaml", kTinyDecoder);
  seeds.add("platform", "small.yaml", fuzz::kSmallMachine);
  seeds.add_shipped("platform", "platforms/jetson_agx_orin_32gb.yaml");
  const std::string end(1, '\0');
  seeds.add("scenario", "all.yaml", kScenario);
  seeds.add("scenario", "strategies.yaml", kStrategies);
  seeds.add("scenario", "platform.yaml", kScenario + end + "platform.links.pcie.bandwidth=x2");
  seeds.add("scenario", "model.yaml", kScenario + end + "model.experts.routed=8");
  seeds.add("scenario", "strategy.yaml", kStrategies + end + "strategies[lru].cache.capacity=25 %");
  seeds.add("study", "all.yaml", kStudy);
  for (const char* name : {"ssd", "predictors", "which-gpu"})
    seeds.add_shipped("study", "scenarios/studies/" + std::string(name) + ".yaml");
  seeds.add_shipped("validation", "validation/bounds.yaml", 1500);
  seeds.add("validation", "figures.yaml", R"(figures:
  - {platform: rtx4090, group: a, label: b, source: c, gemm: [8192, 128, 64], flop_rate: 100 TFLOP/s}
  - {platform: rtx4090, group: a, label: b, source: c, elementwise: [1, 2, 2, 1], bandwidth: 800 GB/s}
  - {platform: rtx4090, group: a, label: b, source: c, tokens_per_second: 40, decode_step: {layers: 2, hidden: 64, heads: 4, kv_heads: 2, head_dim: 16, intermediate: 128, vocabulary: 99, context: 20, weights: int4, head_weights: bf16}}
)");
}

// Which sound file of the reader, then changes to it: see h5_edits.cpp.
void changes(const Seeds& seeds) {
  for (const char* reader : {"trace", "profile", "predictions", "results", "measurement"}) {
    Random random(1);
    for (int file = 0; file < 3; ++file) {
      seeds.add(reader, fmt::format("sound{}", file), std::string(1, static_cast<char>(file)));
      for (int i = 0; i < 10; ++i) {
        std::string bytes(1, static_cast<char>(file));
        for (int length = 4 * (i + 1); length > 0; --length) bytes += static_cast<char>(random.below(256));
        seeds.add(reader, fmt::format("changed{}-{}", file, i), bytes);
        if (i > 2) continue;
        bytes[0] = static_cast<char>(0xF0 + file);
        seeds.add(reader, fmt::format("damaged{}-{}", file, i), bytes);
      }
    }
  }
}

// Routing from elsewhere: see import_gpt_oss_fuzz.cpp for what separates the files of a directory.
void imports(const Seeds& seeds) {
  const std::string between(1, '\0');
  seeds.add(
      "import_jsonl", "two",
      R"({"request": 0, "phase": "prefill", "experts": [[3, 1], [0, 2]], "prompt_tokens": 1, "label": "chat", "weights": [[0.5, 0.25], [1, 0]], "token_id": 7}
{"request": 0, "phase": "decode", "experts": [[3, 2], [1, -1]], "weights": [[0.5, 0.25], [1e-3, 0]], "token_id": 8}
{"request": 1, "phase": "decode", "experts": [[0, 1], [1, 0]], "prompt_tokens": 5, "weights": [[1, 2], [3, 4]], "token_id": 0}
)");
  seeds.add("import_bigmoe", "one", R"(# model=/m/x.gguf n_expert=4 n_expert_used=2 batch=1
# layer=0 expert_bytes=0
# layer=1 expert_bytes=100
# layer=2 expert_bytes=200
turn,phase,step,layer,slot,expert,weight,residency,expert_bytes
0,0,0,1,0,3,0.5,hit,100
0,0,0,1,1,1,0.25,miss,100
0,0,0,2,0,0,0.5,hit,200
0,0,0,2,1,2,0.5,hit,200
0,1,1,1,0,1,0.5,hit,100
0,1,1,1,1,0,0.5,hit,100
0,1,1,2,0,3,0.5,hit,200
0,1,1,2,1,2,0.5,hit,200
)");
  for (const char* type : {"<i2", "<i4"}) {
    std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': (2, 2, 2), }}", type);
    header.resize(117, ' ');
    header += '\n';
    std::string file("\x93NUMPY\x01\x00\x76\x00", 10);
    file += header;
    for (int i = 0; i < 8; ++i) {
      file += static_cast<char>(i);
      file.append(type[2] == '4' ? 3 : 1, '\0');
    }
    seeds.add("import_npy", type + 1, file);
  }
  std::string experts, weights, ids;
  for (int i = 0; i < 8; ++i) {
    experts += static_cast<char>(i % 4);
    weights += std::string("\0\x3f", 2);
  }
  for (int i = 0; i < 6; ++i) ids += std::string(1, static_cast<char>(i)) + std::string(3, '\0');
  seeds.add("import_gpt_oss", "one",
            R"({"model": "m", "moe_layers": 2, "experts_per_layer": 4, "top_k": 2, "decode_tokens": 2})" +
                between +
                "dataset,category,prompt_tokens,traced_decode_tokens,trace_offset,tok_offset\na,\"b, "
                "\"\"c\"\"\",1,1,0,0\n"
                "a,c,2,1,1,2\n" +
                between + experts + weights + ids);
}

// Models from elsewhere.
void models(const Seeds& seeds) {
  seeds.add("import_gguf", "qwen3", testing::qwen3().bytes());
  seeds.add("import_config", "mixtral",
            R"({"model_type": "mixtral", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
"num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 8, "num_experts_per_tok": 2,
"vocab_size": 99, "sliding_window": 16, "tie_word_embeddings": true, "torch_dtype": "bfloat16"})");
  seeds.add(
      "import_config", "deepseek",
      R"({"model_type": "deepseek_v3", "hidden_size": 64, "intermediate_size": 128, "moe_intermediate_size": 32,
"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4, "n_routed_experts": 8, "n_shared_experts": 1,
"num_experts_per_tok": 2, "first_k_dense_replace": 1, "moe_layer_freq": 1, "n_group": 2, "topk_group": 1,
"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
"vocab_size": 99, "num_nextn_predict_layers": 1,
"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})");
  seeds.add(
      "import_config", "nested",
      R"({"model_type": "qwen3_5_moe", "text_config": {"model_type": "qwen3_5_moe_text", "hidden_size": 64,
"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "num_experts": 8,
"num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "vocab_size": 99,
"layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"],
"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
"linear_conv_kernel_dim": 4}})");
  seeds.add(
      "import_config", "nemotron",
      R"({"model_type": "nemotron_h", "hidden_size": 64, "num_hidden_layers": 4, "hybrid_override_pattern": "ME*E",
"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "n_routed_experts": 8, "num_experts_per_tok": 2,
"moe_intermediate_size": 32, "n_shared_experts": 1, "vocab_size": 99, "mamba_num_heads": 4, "mamba_head_dim": 16,
"ssm_state_size": 16, "n_groups": 2, "conv_kernel": 4})");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const Seeds seeds(argv[1]);
  yaml(seeds);
  changes(seeds);
  imports(seeds);
  models(seeds);
}
