// What deduplication within a batch saves: loads of a cache of one expert, with it and without it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

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

MoeModel model_of(int layers, int experts, int top_k) {
  return tiny(fmt::format(
      "name: d\nsource: made up\nhidden: 64\nvocabulary: 100\ntied_embeddings: false\nformat: bf16\n"
      "decoder: {{layers: {}, moe_layers: all}}\n"
      "attention: {{heads: 2, kv_heads: 2, head_dim: 32}}\n"
      "experts: {{routed: {}, top_k: {}, intermediate: 64, gated: true}}\n"
      "published: {{total_billion: 1, source: made up}}\n",
      layers, experts, top_k));
}

// Loads of a run with room for one expert, so that nothing is found again in another layer.
std::int64_t loads(RoutingSource& source, const MoeModel& model, const Workload& workload, bool deduplicate) {
  return std::stoll(run_isolated([&] {
    EngineSettings s;
    s.gpu = kGpu;
    s.expert_home = kRam;
    s.cache_capacity = model.expert_bytes();
    s.eviction = &eviction_named("lru");
    s.predictor = &predictor_named("none");
    s.deduplicate = deduplicate;
    Totals totals;
    simulate(test_platform(),
             [&](Machine& machine) { run_engine(machine, model, source, workload, s, totals); });
    return fmt::format("{}", totals.counters.misses);
  }));
}

}  // namespace

TEST_CASE("deduplication: for uniform routing the share of loads saved is the closed form's, batch 1 to 64") {
  constexpr int kLayers = 2, kExperts = 64, kTopK = 4, kSteps = 40;
  const MoeModel model = model_of(kLayers, kExperts, kTopK);
  for (const int batch : {1, 2, 4, 8, 16, 32, 64}) {
    CAPTURE(batch);
    RoutingOptions options;
    options.layers = kLayers;
    options.experts = kExperts;
    options.top_k = kTopK;
    options.requests = batch;
    options.prompt_tokens = 1;
    options.output_tokens = kSteps;
    options.seed = 7;
    RoutingGenerator source(options);
    Workload workload;
    workload.requests = workload.batch = batch;
    workload.prefill = false;
    const auto with = static_cast<double>(loads(source, model, workload, true));
    const auto without = static_cast<double>(loads(source, model, workload, false));
    // Unique experts of B tokens: E (1 - (1 - k/E)^B). Without deduplication B k loads, less the chance k/E
    // that the one expert still in the cache is among the next token's.
    const double share = static_cast<double>(kTopK) / kExperts;
    const double unique = kExperts * (1 - std::pow(1 - share, batch));
    const double pairs = batch * kTopK - (batch - 1) * share;
    // Standard deviation of the mean over 80 (layer, step) pairs: unique counts vary by less than
    // sqrt(unique).
    const double tolerance = 4 * std::sqrt(unique / (kLayers * kSteps)) / pairs;
    CHECK(std::abs((1 - with / without) - (1 - unique / pairs)) <= tolerance);
    if (batch == 1) CHECK(with == without);
    if (batch == 64) CHECK(1 - with / without > 0.70);  // 1 - 62.97 / 252.06 = 0.750
  }
}

TEST_CASE("deduplication: for gpt-oss-20b's routing the loads are a direct count's, batch 1 to 64") {
  const auto recording = std::filesystem::path(SPECMOE_SOURCE_DIR) / "../shared/data/gpt-oss-20b-routing";
  if (!std::filesystem::exists(recording)) {
    MESSAGE("SKIPPED: no gpt-oss-20b-routing beside the sources");
    return;
  }
  const TemporaryFolder folder;
  TraceImport import;
  import.inputs = {recording};
  import.out = folder / "oss.h5";
  import_trace(import);
  const auto source = RoutingTrace::open(import.out);
  const MoeModel model = model_of(24, 32, 4);
  constexpr std::int64_t kSteps = 5, kRow = 24 * 4;
  double saved_before = -1;
  for (const std::int64_t batch : {1, 2, 4, 8, 16, 32, 64}) {
    CAPTURE(batch);
    Workload workload;
    workload.requests = workload.batch = batch;
    workload.prefill = false;
    workload.output_tokens = kSteps;
    std::vector<std::int16_t> rows(static_cast<std::size_t>(batch * kSteps * kRow));
    for (std::int64_t r = 0; r < batch; ++r)
      source->read(r, 0, kSteps,
                   std::span(rows).subspan(static_cast<std::size_t>(r * kSteps * kRow), kSteps * kRow));
    std::int64_t unique = 0, repeated = 0;
    for (std::int64_t step = 0; step < kSteps; ++step)
      for (int layer = 0; layer < 24; ++layer) {
        std::set<int> seen;
        int held = -1;  // the one expert that the cache still has from the token before
        for (std::int64_t r = 0; r < batch; ++r) {
          const auto token =
              std::span(rows).subspan(static_cast<std::size_t>((r * kSteps + step) * kRow + layer * 4), 4);
          seen.insert(token.begin(), token.end());
          const bool hit = std::find(token.begin(), token.end(), held) != token.end();
          repeated += hit;
          // The last one loaded: the last of the token that was no hit.
          held = hit && token[3] == held ? token[2] : token[3];
        }
        unique += static_cast<std::int64_t>(seen.size());
      }
    const std::int64_t with = loads(*source, model, workload, true);
    const std::int64_t without = loads(*source, model, workload, false);
    CHECK(with == unique);
    CHECK(without == batch * kSteps * kRow - repeated);
    const double saved = 1 - static_cast<double>(with) / static_cast<double>(without);
    CHECK(saved > saved_before);
    saved_before = saved;
    MESSAGE("batch ", batch, ": deduplication saves ", saved * 100, " % of the loads");
  }
}
