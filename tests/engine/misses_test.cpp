// What becomes of a miss: pieces, the CPU, low precision, the queue of prefetches, the host's cache.
#include <doctest/doctest.h>

#include <map>

#include "sim/base/isolated.hpp"
#include "sim/engine/precision.hpp"
#include "tests/approx.hpp"
#include "tests/engine/small_run.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

using Rows = std::vector<std::vector<std::int16_t>>;
using Weights = std::vector<std::vector<float>>;

struct Spans : Log {
  void copy_ended(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
                  Seconds end) override {
    Log::copy_ended(stream, label, route, bytes, start, end);
    spans.push_back(fmt::format("{} {:.12g} {:.12g}\n", label.name, start.value * 1e6, end.value * 1e6));
  }
  void kernel_ended(Stream stream, const Kernel& kernel, Seconds start, Seconds end) override {
    if (stream.index == 2 || stream.index == 3)  // the CPU's, beside copies or a disk
      spans.push_back(
          fmt::format("cpu {} {:.12g} {:.12g}\n", kernel.name, start.value * 1e6, end.value * 1e6));
    Log::kernel_ended(stream, kernel, start, end);
  }
  std::vector<std::string> spans;
};

struct Result {
  std::map<std::string, std::int64_t> counts;
  std::string log;    // names in the order of their starts
  std::string spans;  // name, start and end in us, in the order of their ends
};

// Decodes the rows without a cost of the host's calls.
Result run(
    const EngineSettings& settings, const Rows& rows, const Weights& weights = {},
    const std::function<void(Platform&)>& change = [](Platform&) {}) {
  const std::string all = run_isolated([&] {
    Platform platform = test_platform();
    set_host_calls(platform, {});
    change(platform);
    const MoeModel model = tiny(kModel);
    Script source(2, 4, 2, 0, rows, weights);
    Workload workload;
    workload.prefill = false;
    Spans log;
    simulate(
        platform, [&](Machine& machine) { run_engine(machine, model, source, workload, settings, log); },
        &log);
    const Counters& c = log.counters;
    std::string spans;
    for (const std::string& span : log.spans) spans += span;
    return fmt::format(
               "hits {} misses {} on_cpu {} skipped {} low_pairs {} skipped_pairs {} requested {} issued {} "
               "useful {} "
               "late {} useless {} dropped {} host_hits {} host_misses {} demand {} prefetch {} disk {} ",
               c.hits, c.misses, c.on_cpu, c.skipped, c.low_pairs, c.skipped_pairs, c.requested, c.issued,
               c.useful, c.late, c.useless, c.dropped, c.host_hits, c.host_misses, c.demand_bytes.count,
               c.prefetch_bytes.count, c.disk_bytes.count) +
           "|" + log.text() + "|" + spans;
  });
  Result result;
  const std::size_t bar = all.find('|'), second = all.find('|', bar + 1);
  std::istringstream counts(all.substr(0, bar));
  std::int64_t count = 0;
  for (std::string name; counts >> name >> count;) result.counts[name] = count;
  result.log = all.substr(bar + 1, second - bar - 1);
  result.spans = all.substr(second + 1);
  return result;
}

// The dates of the first span of a name.
std::pair<double, double> dates(const Result& result, const std::string& name) {
  std::istringstream in(result.spans.substr(result.spans.find(name) + name.size()));
  double start = 0, end = 0;
  in >> start >> end;
  return {start, end};
}

const PlacementKind& rule(std::string_view name) {
  for (const PlacementKind& kind : placement_kinds())
    if (kind.name == name) return kind;
  throw std::logic_error("no such rule");
}

constexpr std::int64_t kExpert = 24'576, kInt4 = 12'288 * 17 / 32;  // 4.25 bits a weight: 6,528 B

// Every kernel of the CPU takes 100 us.
void slow_cpu(Platform& platform) {
  for (Saturation& s : platform.devices[0].saturation) s.floor = {100e-6};
}

}  // namespace

TEST_CASE("misses: an expert in pieces costs a call each and is computed when all have landed") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.pieces.count = 3;
  const Result result = run(s, {{0, 1, 2, 3}});
  CHECK(
      result.log ==
      "load L0 E0\nload L0 E0\nload L0 E0\nload L0 E1\nload L0 E1\nload L0 E1\nexpert L0 E0\nexpert L0 E1\n"
      "load L1 E2\nload L1 E2\nload L1 E2\nload L1 E3\nload L1 E3\nload L1 E3\nexpert L1 E2\nexpert L1 E3\n");
  CHECK(result.counts.at("demand") == 4 * kExpert);
  s.pieces = {1, {10'000}};  // 10,000 + 10,000 + 4,576
  CHECK(run(s, {{0, 1, 2, 3}}).counts.at("demand") == 4 * kExpert);
  CHECK(s.pieces.piece({kExpert}) == Bytes{10'000});
  CHECK(s.pieces.piece({4}) == Bytes{4});
}

TEST_CASE("misses: the CPU computes what is missing, between one copy of activations and one of results") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.placement = &rule("cpu");
  const Result result = run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}}, {}, slow_cpu);
  CHECK(result.counts.at("misses") == 8);  // nothing is ever loaded
  CHECK(result.counts.at("on_cpu") == 8);
  CHECK(result.counts.at("demand") == 0);
  // 128 B out, without a pause after the routing's copy: 128 B / 25 GB/s = 5.12 ns. Two experts of three kernels and
  // the sum of their results: 700 us. 128 B back on an idle engine: 10 us + 5.12 ns.
  const auto out = dates(result, "activations"), back = dates(result, "results");
  CHECK(out.second - out.first == specmoe::approx(0.00512).epsilon(1e-6));
  CHECK(back.first - out.second == specmoe::approx(700).epsilon(1e-9));
  CHECK(back.second - back.first == specmoe::approx(10.00512).epsilon(1e-9));
  CHECK(result.spans.find("cpu cpu_sum") != std::string::npos);
}

TEST_CASE("misses: an expert that is there is computed on the GPU while the CPU has the others") {
  EngineSettings s = settings_for(tiny(kModel), 1);
  s.placement = &rule("cpu");
  s.start = &start_named("popular");
  s.popularity = {{9, 1, 1, 1}, {1, 1, 1, 1}};
  const Result result = run(s, {{0, 1, 2, 3}}, {}, slow_cpu);
  CHECK(result.counts.at("hits") == 1);
  CHECK(result.counts.at("on_cpu") == 3);
  // one expert of the CPU, and no sum: 300 us
  const auto out = dates(result, "activations"), back = dates(result, "results");
  CHECK(back.first - out.second == specmoe::approx(300).epsilon(1e-9));
}

TEST_CASE("misses: Fiddler's rule loads what the CPU would take longer for") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.placement = &rule("cheaper");
  // Copy 10.98 us and three kernels of the GPU: 24,576 B and more at 2 GB/s, above 12 us. CPU: 300 us, or 3 x 0.1 us
  // and 20 us of activations.
  CHECK(run(s, {{0, 1, 2, 3}}, {}, slow_cpu).counts.at("on_cpu") == 0);
  CHECK(run(s, {{0, 1, 2, 3}}).counts.at("on_cpu") == 4);
}

TEST_CASE("misses: the experts of CPU layers are never loaded, those of others are") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.cpu_layers = 1;
  s.predictor = &predictor_named("oracle");
  const Result result = run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}});
  CHECK(result.log.find("load L0") == std::string::npos);
  CHECK(result.log.find("prefetch L0") == std::string::npos);
  CHECK(result.counts.at("on_cpu") == 4);
  CHECK(result.counts.at("hits") == 4);  // layer 1 is prefetched, then there
}

TEST_CASE("misses: HOBBIT's unimportance decides between full, low precision and nothing, on a miss alone") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.miss.format = WeightFormat::int4;
  // Second expert: s = 0.7 of T1 0.6 and T2 0.9: low. Then s = 0.95, but what is there is used: low. Then it comes
  // first: in full, a miss, and the low-precision copy goes. Layer 1: s = 0.95 of a missing expert: nothing.
  const Result result =
      run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}, {1, 0, 2, 3}},
          {{0.7F, 0.3F, 0.95F, 0.05F}, {0.95F, 0.05F, 0.95F, 0.05F}, {0.6F, 0.4F, 0.95F, 0.05F}});
  CHECK(result.log ==
        "load L0 E0\nload low L0 E1\nexpert L0 E0\nexpert L0 E1\nload L1 E2\nexpert L1 E2\n"
        "expert L0 E0\nexpert L0 E1\nexpert L1 E2\n"
        "load L0 E1\nexpert L0 E0\nexpert L0 E1\nexpert L1 E2\n");
  CHECK(result.counts.at("hits") == 5);    // 0 + 3 + 2
  CHECK(result.counts.at("misses") == 7);  // 4 + 1 + 2
  CHECK(result.counts.at("skipped") == 3);
  CHECK(result.counts.at("skipped_pairs") == 3);
  CHECK(result.counts.at("low_pairs") == 2);
  CHECK(result.counts.at("demand") == 3 * kExpert + kInt4);
}

TEST_CASE("misses: a low-precision copy takes its own bytes of the cache, and full weights take its place") {
  EngineSettings s = settings_for(tiny(kModel), 1);
  s.miss.format = WeightFormat::int4;
  s.cache_capacity = {2 * kExpert};
  // E0 in full and E1 low fit beside each other; E1 in full does not beside E0 and L1's experts push out the oldest.
  const Result result =
      run(s, {{0, 1, 0, 1}, {1, 0, 0, 1}}, {{0.7F, 0.3F, 0.95F, 0.05F}, {0.7F, 0.3F, 0.95F, 0.05F}});
  CHECK(result.counts.at("demand") == 4 * kExpert + 2 * kInt4);
}

TEST_CASE("misses: a missing expert of little gate weight is skipped, one that is there is not") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.miss.skip_below = 0.1;
  const Result result =
      run(s, {{0, 1, 2, 3}, {1, 0, 2, 3}}, {{0.95F, 0.05F, 0.5F, 0.5F}, {0.95F, 0.05F, 0.5F, 0.5F}});
  CHECK(result.counts.at("skipped") == 1);  // E1 of the first token
  CHECK(result.counts.at("misses") == 5);
  CHECK(result.counts.at("hits") == 3);  // E0 of the second token too
  CHECK(result.counts.at("demand") == 4 * kExpert);
}

TEST_CASE("misses: a rule by gate weight wants routing that has them") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.miss.skip_below = 0.1;
  CHECK_THROWS_WITH(run(s, {{0, 1, 2, 3}}), doctest::Contains("the routing has no gate weights"));
}

TEST_CASE("precision: the most demanding token of a step decides what an expert needs") {
  StepRouting routing;
  routing.layers = 1;
  routing.top_k = 4;
  routing.tokens = 2;
  routing.experts = {0, 1, 2, 3, 3, 4, 5, 0};
  // Token 0: s = 0, 0.5, 0.8, 0.95. Token 1, in another order and twice the sum: s of 4: 0, 3: 1.0/2, 5: 1.8/2, 0: 1.9/2.
  routing.weights = {0.5F, 0.3F, 0.15F, 0.05F, 0.8F, 1.0F, 0.1F, 0.1F};
  std::vector<ExpertUse> wave{{0, 2}, {1, 1}, {2, 1}, {3, 2}, {4, 1}, {5, 1}};
  MissPrecision rules;
  rules.format = WeightFormat::int4;
  rules.low_up_to = 0.85;
  find_needs(rules, routing, 0, 0, 2, wave);
  const auto needs = [&] {
    std::string all;
    for (const ExpertUse& use : wave) all += "-lf"[static_cast<int>(use.precision)];
    return all;
  };
  CHECK(needs() == "fflff-");  // 3: nothing for token 0, in full for token 1
  find_needs(rules, routing, 0, 0, 1, wave);
  CHECK(needs() == "ffl---");
  rules = {};
  rules.skip_below = 0.2;
  find_needs(rules, routing, 0, 0, 2, wave);
  CHECK(needs() == "ff-ff-");
}

TEST_CASE(
    "prefetch queue: what is over the budget waits - a layer that wants it loads it, another drops it") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.predictor = &predictor_named("oracle");
  s.prefetch_budget = Bytes{kExpert};
  s.prefetch_queue = true;
  // Layer 1 wants 2 and 3: 2 is issued, 3 waits and is loaded on demand.
  const Result right = run(s, {{0, 1, 2, 3}});
  CHECK(right.counts.at("requested") == 2);
  CHECK(right.counts.at("issued") == 1);
  CHECK(right.counts.at("dropped") == 0);
  CHECK(right.counts.at("misses") == 3);
  s.predictor = &predictor_named("gate");
  s.accuracy = {{0.0}};
  // The gate names 0 and 1: one is issued for nothing, the other dropped.
  const Result wrong = run(s, {{0, 1, 2, 3}});
  CHECK(wrong.counts.at("requested") == 2);
  CHECK(wrong.counts.at("issued") == 1);
  CHECK(wrong.counts.at("useless") == 1);
  CHECK(wrong.counts.at("dropped") == 1);
}

TEST_CASE(
    "prefetch queue: of an expert that was begun, the rest is copied before other loads, or it leaves") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.predictor = &predictor_named("oracle");
  s.pieces.count = 2;
  s.prefetch_budget = Bytes{kExpert / 2};
  s.prefetch_queue = true;
  const Result right = run(s, {{0, 1, 2, 3}});
  CHECK(right.log.find("prefetch L1 E2\n") != std::string::npos);
  CHECK(right.log.find("prefetch L1 E2\nload L1 E3\nload L1 E3\n") != std::string::npos);
  CHECK(right.counts.at("hits") == 1);
  CHECK(right.counts.at("useful") + right.counts.at("late") == 1);
  CHECK(right.counts.at("prefetch") == kExpert);
  s.predictor = &predictor_named("gate");
  s.accuracy = {{0.0}};
  const Result wrong = run(s, {{0, 1, 2, 3}});
  CHECK(wrong.counts.at("prefetch") == kExpert / 2);
  CHECK(wrong.counts.at("useless") == 1);
  CHECK(wrong.counts.at("dropped") == 1);
}

TEST_CASE("prefetch: a step's budget holds over all its layers") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.predictor = &predictor_named("oracle");
  s.window = 2;
  s.prefetch_step_budget = Bytes{3 * kExpert};
  // Step 1 may issue layer 1's two and one of the next step's layer 0: other experts each.
  const Result result = run(s, {{0, 1, 2, 3}, {2, 3, 0, 1}});
  CHECK(result.counts.at("requested") >= 4);
  CHECK(result.counts.at("issued") == 5);  // 3, then layer 1's two of the second step
}

TEST_CASE("host cache: the disk is read once, in time with the copies to the GPU") {
  EngineSettings s = settings_for(tiny(kModel), 2);
  s.expert_home = kNvme;
  s.host_cache = HostCacheSettings{{5 * kExpert}, &eviction_named("lru")};
  const Result result = run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}});
  CHECK(result.counts.at("misses") == 8);  // the GPU holds one layer's experts
  CHECK(result.counts.at("host_misses") == 4);
  CHECK(result.counts.at("host_hits") == 4);
  CHECK(result.counts.at("disk") == 4 * kExpert);
  CHECK(result.counts.at("demand") == 8 * kExpert);
  // 24,576 B / 5 GB/s = 4.9152 us; then 10 us + 24,576 B / 25 GB/s = 10.98304 us to the GPU
  const auto read = dates(result, "read"), load = dates(result, "\nload");
  CHECK(read.second - read.first == specmoe::approx(4.9152).epsilon(1e-9));
  CHECK(load.first == specmoe::approx(read.second).epsilon(1e-9));
  CHECK(load.second - load.first == specmoe::approx(10.98304).epsilon(1e-9));
}

TEST_CASE("host cache: what the GPU holds stays, and the policy chooses among the others") {
  EngineSettings s = settings_for(tiny(kModel), 2);
  s.expert_home = kNvme;
  s.host_cache = HostCacheSettings{{3 * kExpert}, &eviction_named("lru")};
  // Three places for four experts in turn: LRU has always just lost the next one.
  const Result result = run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}});
  CHECK(result.counts.at("host_misses") == 8);
  // The GPU keeps everything: later uses do not reach the host.
  s.cache_capacity = {4 * kExpert};
  s.host_cache->capacity = {5 * kExpert};
  CHECK(run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}}).counts.at("host_misses") == 4);
}

TEST_CASE("host cache: starts with what the GPU has and the next most popular") {
  EngineSettings s = settings_for(tiny(kModel), 2);
  s.expert_home = kNvme;
  s.host_cache = HostCacheSettings{{3 * kExpert}, &eviction_named("lru")};
  s.start = &start_named("popular");
  s.popularity = {{9, 8, 0, 0}, {0, 0, 7, 0}};
  const Result result = run(s, {{0, 1, 2, 3}});
  CHECK(result.counts.at("hits") == 2);
  CHECK(result.counts.at("host_hits") == 1);    // L1 E2
  CHECK(result.counts.at("host_misses") == 1);  // L1 E3
}

TEST_CASE("host cache: the CPU computes what was read, or was there") {
  EngineSettings s = settings_for(tiny(kModel), 2);
  s.expert_home = kNvme;
  s.host_cache = HostCacheSettings{{6 * kExpert}, &eviction_named("lru")};
  s.placement = &rule("cpu");
  const Result result = run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}});
  CHECK(result.counts.at("on_cpu") == 8);
  CHECK(result.counts.at("host_misses") == 4);
  CHECK(result.counts.at("host_hits") == 4);
  CHECK(result.counts.at("demand") == 0);
}
