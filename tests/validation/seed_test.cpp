// The seed's claims: reproduced by its own rules, and run as scenarios.
#include "validation/compare/seed_set.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "models/moe/routing/routing_generator.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "tests/approx.hpp"
#include "tests/cli/command.hpp"
#include "validation/compare/seed_rules.hpp"
#include "validation/compare/seed_runs.hpp"

using namespace specmoe;

namespace {

std::vector<std::int16_t> rows_of(const std::filesystem::path& file) {
  const auto trace = RoutingTrace::open(file);
  std::vector<std::int16_t> all;
  for (std::int64_t r = 0; r < trace->requests(); ++r) {
    const std::int64_t rows = trace->request(r).decode_rows;
    std::vector<std::int16_t> one(static_cast<std::size_t>(rows * trace->layers() * trace->top_k()));
    trace->read(r, 0, rows, one);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

void says(const std::string& rows, int line, const std::string& what) {
  CAPTURE(rows);
  const TemporaryFolder folder;
  folder.write("bad.yaml", "rows:\n" + rows + "steps: []\ntables: []\n");
  try {
    compare_seed(folder / "bad.yaml", 1, [](const std::string&) {});
    FAIL("read a bad file");
  } catch (const InputError& e) {
    CHECK(e.line == line);
    CHECK_MESSAGE(std::string(e.what()).find(what) != std::string::npos, e.what());
  }
}

}  // namespace

TEST_CASE("seed: its rules give its headline numbers") {
  const SeedOutcome a = seed_switch({'A'}), e = seed_switch({'E'});
  CHECK(a.milliseconds ==
        specmoe::approx(512 * (4.35 + 0.106)).epsilon(1e-9));  // 2281.47: every position misses
  // Re-run by its own code: 163 to 185 ms, 12.3 to 13.8x.
  CHECK(e.milliseconds > 163);
  CHECK(e.milliseconds < 185);
  CHECK(e.hit_rate == specmoe::approx(0.9943).epsilon(0.005));
  CHECK(seed_switch({'E', 16}).milliseconds == specmoe::approx(16 * e.milliseconds).epsilon(1e-9));
  CHECK(seed_qwen('A').milliseconds == specmoe::approx(2039.1).epsilon(0.01));
  CHECK(seed_qwen('A').hit_rate == specmoe::approx(0.9154).epsilon(0.005));
  CHECK(seed_qwen('B').milliseconds == specmoe::approx(821.5).epsilon(0.01));
  CHECK(seed_qwen('D').milliseconds == specmoe::approx(1337.1).epsilon(0.03));
  CHECK(seed_qwen('E').milliseconds == specmoe::approx(1258.3).epsilon(0.01));
}

TEST_CASE("seed: without its predictor the slots alone give the speedup, and held slots take it away") {
  const double a = seed_switch({'A'}).milliseconds;
  SeedSwitchRule rule{'E'};
  rule.no_prefetch = true;
  rule.slots = 128;
  CHECK(a / seed_switch(rule).milliseconds > 12);  // its own code: 13.52x
  rule = {'E'};
  rule.slots = 32;
  CHECK(a / seed_switch(rule).milliseconds == specmoe::approx(0.47).epsilon(0.05));  // its own code
  rule.layer_keys = true;
  CHECK(a / seed_switch(rule).milliseconds == specmoe::approx(0.44).epsilon(0.05));
}

TEST_CASE("seed: the shipped routing is what its generators give") {
  const TemporaryFolder folder;
  write_seed_routing(folder / "");
  for (const char* file : {"switch.h5", "qwen.h5"})
    CHECK(rows_of(folder / file) == rows_of(home() / "validation/published/seed" / file));
  const auto qwen = seed_qwen_sequence(3, 100);
  for (std::size_t token = 0; token < 100; ++token) {
    std::vector<std::int16_t> row(qwen.begin() + static_cast<std::ptrdiff_t>(token * 8),
                                  qwen.begin() + static_cast<std::ptrdiff_t>(token * 8 + 8));
    std::sort(row.begin(), row.end());
    CHECK(std::adjacent_find(row.begin(), row.end()) == row.end());
  }
}

TEST_CASE("seed: pairs that a batch shares, counted and in closed form") {
  // 4 of 4 experts, 2 tokens: 8 pairs, 4 experts
  CHECK(shared_if_uniform(4, 4, 2) == specmoe::approx(0.5));
  CHECK(shared_if_uniform(128, 16, 1) == 0);
  RoutingOptions options;
  options.layers = 12;
  options.experts = 128;
  options.top_k = 8;
  options.requests = 32;
  options.prompt_tokens = 1;
  options.output_tokens = 25;
  RoutingGenerator source(options);
  CHECK(shared_in(source, 32, 25) == specmoe::approx(shared_if_uniform(128, 8, 32)).epsilon(0.01));
}

TEST_CASE("seed: what a count says that a batch shares, the engine shares") {
  const Yaml names = Yaml::parse("{scenario: comparative-b8, of: LRU}", "names");
  SeedRuns runs(home() / "validation/published/seed");
  runs.want(names["scenario"], "LRU", names["of"]);
  runs.run(1, [](const std::string&) {});
  const SeedTotals& totals = runs.at("comparative-b8", "LRU");
  CHECK(totals.routed == 8 * 25 * 12 * 2);
  RoutingOptions options;  // of that scenario
  options.layers = 12;
  options.experts = 128;
  options.top_k = 2;
  options.requests = 8;
  options.prompt_tokens = 1;
  options.output_tokens = 25;
  options.seed = 42;
  RoutingGenerator source(options);
  CHECK(1 - seed_share(totals.accesses, totals.routed) ==
        specmoe::approx(shared_in(source, 8, 25)).epsilon(1e-12));
}

TEST_CASE("specmoe validate: --published seed shows each claim in three ways, and writes them") {
  const TemporaryFolder folder;
  const CommandResult result = specmoe_command(folder, "validate --published seed --out seed.csv");
  CHECK_MESSAGE(result.status == 0, result.err);
  for (const char* claim : {"13.07x", "99.43 %", "1.62x", "96.9 %", "1.29x", "98 %", "24.4 %", "49.1 %",
                            "64.9 %", "0.508", "0.768", "0.876"})
    CHECK_MESSAGE(result.out.find(claim) != std::string::npos, claim);
  CHECK(read_text(folder / "seed.csv")
            .starts_with("part,name,quantity,claimed,its_rules,its_memory,equal_memory"));
  const CommandResult unknown = specmoe_command(folder, "validate --published sead");
  CHECK(unknown.status == 2);
  CHECK(unknown.err.find("sead not in {runs,seed}") != std::string::npos);
}

TEST_CASE(
    "seed: each row has its three numbers or says why not, with equal memory E at batch 1 is no faster than "
    "LRU") {
  const SeedSet set = compare_seed(home() / "validation/published/seed.yaml", 2, [](const std::string&) {});
  for (const SeedRow& row : set.rows) {
    CAPTURE(row.name);
    CHECK(!row.source.empty());
    for (const SeedNumber* number : {&row.rule, &row.own, &row.equal})
      CHECK(number->value.has_value() == number->reason.empty());
  }
  CHECK(seed_breaches(set).empty());
  // Where its rules are imitated, its tables' times come out.
  for (const SeedCell& cell : set.cells) {
    CAPTURE(cell.table + " " + cell.strategy);
    CHECK(cell.rule.has_value() == cell.reason.empty());
    if (cell.rule) CHECK(cell.rule->milliseconds == specmoe::approx(cell.claimed.milliseconds).epsilon(0.09));
  }
  REQUIRE(set.rows.front().name == "Switch, E over A");
  CHECK(*set.rows.front().equal.value < 1.05);
  SeedSet broken = set;
  broken.rows.front().claimed = 20;
  CHECK(seed_breaches(broken).size() == 1);
}

TEST_CASE("seed: bad lines are said with their place") {
  const std::string head = "  - {name: n, claim: c, claimed: 1, source: s, note: n, metric: ";
  says(head + "speed, rule: {none: w}, own: {none: w}, equal: {none: w}}\n", 2, "speedup");
  says(head + "hits, rule: {switch: F}, within: 0.1, own: {none: w}, equal: {none: w}}\n", 2, "\"F\"");
  says(head + "hits, rule: {switch: E}, own: {none: w}, equal: {none: w}}\n", 2, "within");
  says(head + "hits, rule: {none: w}, own: {scenario: nothing, of: E}, equal: {none: w}}\n", 2,
       "a scenario of");
  says(head + "hits, rule: {none: w}, own: {none: w}}\n", 2, "equal");
}
