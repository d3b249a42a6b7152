// Keys of a scenario that change what it names: the model cut short, another platform.
#include "sim/scenario/scenario.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "sim/base/build_info.hpp"
#include "tests/moe/tiny_model.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;

namespace {

// Block 0 dense, then experts in every block.
const std::string kThree = R"(name: three
source: made up
hidden: 64
vocabulary: 100
tied_embeddings: false
format: bf16
decoder: {layers: 3, moe_layers: [1, 2]}
attention: {heads: 2, kv_heads: 2, head_dim: 32}
experts: {routed: 4, top_k: 2, intermediate: 64, gated: true}
dense: {intermediate: 128, gated: true}
published: {total_billion: 0.0002, source: made up}
)";

Scenario load(const std::string& model, const std::string& override = "",
              const std::string& own = "rtx4090") {
  const TemporaryFolder folder;
  folder.write("three.yaml", kThree);
  folder.write("t5.yaml", kTinyEncoderDecoder);
  folder.write("s.yaml", fmt::format(R"(name: s
seed: 1
platform: {}
model: {}
routing:
  generate: {{zipf: 0.5, reuse: 0.3, correlation: 0}}
workload: {{requests: 1, batch: 1, prompt_tokens: 4, output_tokens: 4}}
placement: {{experts: dram}}
cache: {{capacity: auto, eviction: lru}}
)",
                                     own, model));
  return Scenario::load(folder / "s.yaml", override);
}

// What follows the file's name.
std::string refusal(const std::string& model) {
  const std::string message = message_of([&] { load(model); });
  const std::size_t at = message.find("s.yaml:");
  return at == std::string::npos ? message : message.substr(at);
}

}  // namespace

TEST_CASE("scenario: a workload that nobody could wait for is refused at once") {
  const TemporaryFolder folder;
  folder.write("three.yaml", kThree);
  const auto text = [](const char* requests) {
    return fmt::format(R"(name: s
seed: 1
platform: rtx4090
model: three.yaml
routing: {{generate: {{zipf: 0.5, reuse: 0, correlation: 0}}}}
workload: {{requests: {}, batch: 1, prompt_tokens: 4096, output_tokens: 8}}
cache: {{capacity: auto, start: popular}}
)",
                       requests);
  };
  // A request is two chunks of prompt and 8 tokens: 2,000,000 of them are 20,000,000 steps.
  CHECK(message_of([&] {
          Scenario::load(folder.write("s.yaml", text("2000001")));
        }).find("workload: 2000001 requests of 10 steps; expected at most 20000000") != std::string::npos);
  CHECK(message_of([&] { Scenario::load(folder.write("s.yaml", text("1000"))); }) == "");
}

TEST_CASE("scenario: a profile takes its lengths from the workload, and its notes become the scenario's") {
  const TemporaryFolder folder;
  const auto scenario = [&](const std::string& model, const std::string& profile) {
    folder.write("s.yaml", fmt::format(R"(name: s
seed: 1
platform: rtx4090
model: {}
routing: {{profile: {}}}
workload: {{requests: 2, batch: 1, prompt_tokens: 4, output_tokens: 3}}
cache: {{capacity: auto, eviction: lru, start: popular}}
)",
                                       model, profile));
    return Scenario::load(folder / "s.yaml");
  };
  const Scenario oss = scenario("gpt-oss-20b", "gpt-oss-20b");
  const auto source = oss.routing.open();
  CHECK(source->requests() == 2);
  CHECK(source->request(1).prefill_rows == 4);
  CHECK(source->request(1).decode_rows == 3);
  CHECK(source->has_weights());
  CHECK(oss.notes.front().starts_with("routing profile gpt-oss-20b: prompts were not recorded"));
  CHECK(scenario("{name: mixtral-8x7b, expert_format: int4}", "mixtral-8x7b")
            .notes.front()
            .find("popularity alone") != std::string::npos);
  CHECK(message_of([&] {
          scenario("qwen3-30b-a3b", "qwen3-30b-a3b");
        }).find("top-8; or model.top_k: 6, as recorded") != std::string::npos);
  CHECK(scenario("{name: qwen3-30b-a3b, top_k: 6}", "qwen3-30b-a3b").routing.open()->top_k() == 6);
}

TEST_CASE("scenario: a predictor's network takes its bytes from the cache, given or automatic") {
  const TemporaryFolder folder;
  folder.write("three.yaml", kThree);
  const auto load_with = [&](const std::string& cache) {
    folder.write("s.yaml", fmt::format(R"(name: s
seed: 1
platform: rtx4090
model: mixtral-8x7b
routing:
  generate: {{zipf: 0.5, reuse: 0.3, correlation: 0}}
workload: {{requests: 1, batch: 1, prompt_tokens: 4, output_tokens: 4}}
cache: {{capacity: {}}}
prefetch: {{predictor: path, accuracy: 0.9}}
strategies:
  - {{name: router}}
  - {{name: stream, prefetch: {{network: {{layer: [[1, 1000, 2000]], parameters: 8.4e6}}}}}}
  - {{name: cpu, prefetch: {{network: {{layer: [[1, 1000, 2000]], runs_on: cpu}}}}}}
  - {{name: wide, prefetch: {{network: {{step: [[3, 1000, 2000]], runs_on: compute, precision: fp32}}}}}}
  - {{name: free, prefetch: {{network: {{runs_on: free}}}}}}
)",
                                       cache));
    return Scenario::load(folder / "s.yaml");
  };
  for (const char* cache : {"auto", "8 GB"}) {
    const Scenario scenario = load_with(cache);
    std::vector<std::int64_t> less;
    for (const Strategy& strategy : scenario.strategies)
      less.push_back(
          (scenario.strategies[0].settings.cache_capacity - strategy.settings.cache_capacity).count);
    // 8.4e6 x 2 B; 1000 x 2000 parameters of 4 B
    CHECK(less == std::vector<std::int64_t>{0, 16'800'000, 0, 8'000'000, 0});
    CHECK(scenario.strategies[1].bill.items.back() == std::pair(std::string("predictor"), Bytes{16'800'000}));
    CHECK_FALSE(scenario.strategies[0].settings.predictor_cost);
    CHECK(scenario.notes ==
          std::vector<std::string>{
              "free: what predicting costs is not charged: prefetch.network.runs_on is free"});
  }
}

TEST_CASE("scenario: model layers keeps the first blocks, their experts and parameters") {
  // Tables 2 x 100 x 64, last norm 64. A block: two norms 2 x 64, attention 4 x 64 x 64. Dense: 3 x 64 x 128.
  // Experts: router 4 x 64, 4 x 3 x 64 x 64 routed.
  constexpr double around = 12'800 + 64, block = 128 + 16'384, dense = 24'576, moe = 256 + 49'152;
  const Scenario whole = load("{name: three.yaml}");
  CHECK(whole.model.blocks.size() == 3);
  CHECK(whole.model.moe_layers == 2);
  CHECK(whole.model.parameters().total == around + 3 * block + dense + 2 * moe);  // 185,792
  const Scenario two = load("{name: three.yaml, layers: 2}");
  REQUIRE(two.model.blocks.size() == 2);
  CHECK(two.model.blocks[0].moe_layer == -1);
  CHECK(two.model.blocks[1].moe_layer == 0);
  CHECK(two.model.moe_layers == 1);
  CHECK(two.model.parameters().total == around + 2 * block + dense + moe);  // 119,872
  CHECK(two.model.resident_bytes() == Bytes{2 * 70'720});                   // 119,872 - 49,152 routed
  CHECK(two.routing.open()->layers() == 1);
  const Scenario all = load("{name: three.yaml, layers: 3}");
  CHECK(all.model.parameters().total == whole.model.parameters().total);
}

TEST_CASE("scenario: model layers goes with the other keys of a model") {
  const Scenario cut = load("{name: mixtral-8x7b, layers: 1, expert_format: int2, top_k: 1}");
  CHECK(cut.model.blocks.size() == 1);
  CHECK(cut.model.top_k == 1);
  CHECK(cut.model.expert_format == WeightFormat::int2);
}

TEST_CASE(
    "scenario: model layers is refused where it leaves no experts, for more blocks than there are, for "
    "none") {
  CHECK(refusal("{name: three.yaml, layers: 1}") ==
        "s.yaml:4: model.layers: \"1\"; expected enough blocks to have experts");
  CHECK(refusal("{name: three.yaml, layers: 4}") ==
        "s.yaml:4: model.layers: \"4\"; expected a whole number from 1 to 3");
  CHECK(refusal("{name: three.yaml, layers: 0}") ==
        "s.yaml:4: model.layers: \"0\"; expected a whole number from 1 to 3");
}

TEST_CASE(
    "scenario: model layers is refused for an encoder-decoder model, whose first blocks are the encoder") {
  CHECK(load("{name: t5.yaml}").model.encoder_decoder());
  CHECK(refusal("{name: t5.yaml, layers: 2}") ==
        "s.yaml:4: model.layers: \"2\"; expected no such key for an encoder-decoder model");
  CHECK(refusal("{name: switch-base-128, layers: 2}") ==
        "s.yaml:4: model.layers: \"2\"; expected no such key for an encoder-decoder model");
}

TEST_CASE("scenario: a platform given beside the file takes the place of the scenario's") {
  const Scenario own = load("three.yaml"), other = load("three.yaml", "h200_sxm");
  CHECK(own.platform.name == "rtx4090");
  CHECK(other.platform.name == "h200_sxm");
  CHECK(other.strategies.at(0).bill.available == other.platform[other.platform.memory("vram")].capacity);
  CHECK(other.strategies.at(0).bill.available > own.strategies.at(0).bill.available);  // 141 GB and 24 GB
  // And so a result of the one is not taken for the other's.
  CHECK(std::count(other.inputs.begin(), other.inputs.end(), home() / "platforms/h200_sxm.yaml") == 1);
}

TEST_CASE(
    "scenario: the platform given beside the file may be a file, and the scenario's own need not exist") {
  const TemporaryFolder folder;
  const auto home = std::filesystem::path(SPECMOE_SOURCE_DIR) / "platforms/h100_sxm_80gb.yaml";
  std::string text = read_text(home);
  text.replace(text.find("h100_sxm_80gb"), 13, "mine");
  const Scenario scenario =
      load("three.yaml", folder.write("mine.yaml", text).string(), "a_machine_that_nobody_described");
  CHECK(scenario.platform.name == "mine");
  CHECK(message_of([] { load("three.yaml", "h300"); }).find("h300") != std::string::npos);
}

TEST_CASE("scenario: a policy and a predictor are named alone or with parameters, strategies may differ") {
  const TemporaryFolder folder;
  folder.write("three.yaml", kThree);
  folder.write("s.yaml", R"(name: s
seed: 1
platform: rtx4090
model: three.yaml
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0}
workload: {requests: 1, batch: 1, prompt_tokens: 4, output_tokens: 4}
cache: {eviction: {policy: mrs, alpha: 0.7}, start: uniform}
strategies:
  - name: one
  - name: two
    cache: {eviction: lfu, start: popular}
    prefetch: {predictor: {name: intelligent, most: 5}}
)");
  const Scenario scenario = Scenario::load(folder / "s.yaml");
  const EngineSettings& one = scenario.strategies.at(0).settings;
  const EngineSettings& two = scenario.strategies.at(1).settings;
  CHECK(one.eviction->name == "mrs");
  CHECK(one.eviction_parameters.number("alpha") == 0.7);
  CHECK(one.start->name == "uniform");
  CHECK(one.predictor->name == "none");
  CHECK(one.wants_weights());
  CHECK(one.popularity.empty());
  CHECK(two.eviction->name == "lfu");
  CHECK_THROWS_AS(two.eviction_parameters.number("alpha"), std::logic_error);  // not the scenario's policy
  CHECK(two.predictor_parameters.whole("most") == 5);
  CHECK_FALSE(two.wants_weights());
  CHECK(two.popularity.size() == 2);
}
