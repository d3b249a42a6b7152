// Real routing through the whole engine: it hits and misses as the engine did that recorded it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>

#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "sim/base/isolated.hpp"
#include "tests/engine/random_scenario.hpp"
#include "tests/machine/test_platform.hpp"
#include "tests/moe/tiny_model.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

struct Recorded {
  std::string name;
  std::int64_t budget_mib;
  std::int64_t accesses, hits;  // of decode
};

// Simulates the recording's own run: one request after another, global LRU by bytes, every layer's true
// sizes.
std::string decode_hits(const Recorded& recorded) {
  const TemporaryFolder folder;
  TraceImport import;
  import.inputs = {std::filesystem::path(SPECMOE_SOURCE_DIR) / "../shared/data/bigmoeonedge-routing" /
                   (recorded.name + ".route.csv.gz")};
  import.out = folder / "trace.h5";
  import_trace(import);
  const auto source = RoutingTrace::open(import.out);
  const MoeModel model = tiny(fmt::format(
      "name: recorded\nsource: made up\nhidden: 64\nvocabulary: 100\ntied_embeddings: false\nformat: bf16\n"
      "decoder: {{layers: {}, moe_layers: all}}\n"
      "attention: {{heads: 2, kv_heads: 2, head_dim: 32}}\n"
      "experts: {{routed: {}, top_k: {}, intermediate: 64, gated: true}}\n"
      "published: {{total_billion: 1, source: made up}}\n",
      source->layers(), source->experts(), source->top_k()));
  return run_isolated([&] {
    EngineSettings s;
    s.gpu = kGpu;
    s.expert_home = kRam;
    for (const std::int64_t bytes : source->header().expert_bytes) s.expert_bytes.push_back({bytes});
    s.cache_capacity = {recorded.budget_mib << 20};
    s.eviction = &eviction_named("lru");
    s.predictor = &predictor_named("none");
    Workload workload;
    workload.requests = source->requests();
    Totals totals;
    simulate(test_platform(),
             [&](Machine& machine) { run_engine(machine, model, *source, workload, s, totals); });
    std::int64_t accesses = 0, hits = 0;
    for (const StepRecord& step : totals.steps)
      if (!step.prefill) {
        accesses += step.counters.accesses;
        hits += step.counters.hits;
      }
    return fmt::format("{} of {}", hits, accesses);
  });
}

}  // namespace

TEST_CASE("engine: has the decode hits of the engine that recorded the routing") {
  // The residency column of the recordings; for Gemma the README's replay says 18,869, the engine itself
  // 18,872.
  for (const Recorded& recorded : {Recorded{"qwen", 4000, 36'864, 29'597},
                                   {"gemma", 4000, 23'040, 18'872},
                                   {"gptoss", 3000, 4'608, 2'066}}) {
    if (!std::filesystem::exists(std::filesystem::path(SPECMOE_SOURCE_DIR) /
                                 "../shared/data/bigmoeonedge-routing")) {
      MESSAGE("SKIPPED: no bigmoeonedge-routing beside the sources");
      return;
    }
    CAPTURE(recorded.name);
    CHECK(decode_hits(recorded) == fmt::format("{} of {}", recorded.hits, recorded.accesses));
  }
}
