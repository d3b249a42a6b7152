// Writes the seeds of all fuzz targets: seeds/<target>/..., from files that are shipped and from what the writers write.
//
//   specmoe_fuzz_seeds FOLDER
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "sim/base/build_info.hpp"
#include "tests/fuzz/small_machine.hpp"
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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const Seeds seeds(argv[1]);
  yaml(seeds);
}
