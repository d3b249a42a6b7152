#include "validation/calibration/runs.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "sim/base/h5.hpp"
#include "sim/base/isolated.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;

namespace {

// Two MoE layers of four experts, top-2; the cache holds three of the eight.
const std::string kModel = R"(name: two
source: made up
hidden: 64
vocabulary: 100
tied_embeddings: false
format: bf16
decoder: {layers: 2, moe_layers: all}
attention: {heads: 2, kv_heads: 2, head_dim: 32}
experts: {routed: 4, top_k: 2, intermediate: 64, gated: true}
published: {total_billion: 0.0001, source: made up}
)";
const std::string kScenario = R"(name: tiny
seed: 3
platform: rtx4090
model: two.yaml
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0.1}
workload: {requests: 2, batch: 2, prompt_tokens: 3, output_tokens: 4}
placement: {experts: dram}
cache: {capacity: 75 kB, eviction: lru}
prefetch: {predictor: oracle, window: 1}
)";

RunStep step(std::int64_t first) {
  return {first % 2, first + 1, first + 2, first + 3, first + 4,
          first + 5, first + 6, first + 7, first + 8, 0.125 * (double)first,
          0.5};
}

std::string text_of(const RunStep& s) {
  return fmt::format("{} {} {} | {} {} {} {} | {} {} | {} {}\n", s.prefill, s.sequences, s.tokens, s.accesses,
                     s.hits, s.misses, s.issued, s.demand_bytes, s.prefetch_bytes, s.duration, s.expert_wait);
}

std::string text_of(const RunTable& table) {
  std::string all;
  for (const auto& [key, value] : table.about) all += key + "=" + value + "\n";
  for (const EngineRun& run : table.runs) {
    all += fmt::format("{} {}\n", run.name, run.copied);
    for (const HostState& host : run.hosts) all += fmt::format("host {} {}\n", host.launch, host.copy);
    for (const auto& repeat : run.repeats) {
      all += "repeat\n";
      for (const RunStep& each : repeat) all += text_of(each);
    }
  }
  return all;
}

RunTable example() {
  RunTable table;
  table.about = {{"gpu", "H100"}, {"date", "2026-11-24"}};
  table.runs = {
      {"mixtral-b1/lru", 1LL << 41, {{step(0), step(10)}, {step(20)}, {step(30), step(40), step(50)}}},
      {"mixtral-b1/gate", 5, {{step(60)}}, {{9e-6, 2.5e-3}}},
      {"qwen/none", 0, {}}};
  return table;
}

}  // namespace

TEST_CASE("runs: what was written is read - several runs, repeats of unequal steps, a run without any") {
  const TemporaryFolder folder;
  example().write(folder / "a.h5");
  const RunTable read = RunTable::read(folder / "a.h5");
  CHECK(text_of(read) == text_of(example()));
  REQUIRE(read.runs.size() == 3);
  REQUIRE(read.runs[0].repeats.size() == 3);
  CHECK(read.runs[0].repeats[1].size() == 1);
  CHECK(read.runs[0].repeats[2][1].accesses == 43);  // step(40)'s fourth number
  CHECK(read.runs[0].repeats[2][1].duration == 5);   // 40 / 8
  CHECK(read.runs[1].repeats[0][0].prefetch_bytes == 68);
}

TEST_CASE("runs: a file of another format, or none, is an error of one line") {
  const TemporaryFolder folder;
  { H5File::create(folder / "other.h5").set("/", "format", "specmoe-measurements"); }
  CHECK(message_of([&] { RunTable::read(folder / "other.h5"); }) ==
        (folder / "other.h5").string() + ": not a file of runs; expected what specmoe-calibrate run writes");
  {
    H5File later = H5File::create(folder / "later.h5");
    later.set("/", "format", "specmoe-runs");
    later.set("/", "version", std::int64_t{2});
  }
  CHECK(message_of([&] { RunTable::read(folder / "later.h5"); }) ==
        (folder / "later.h5").string() + ": version 2; expected version 1");
  const std::string missing = message_of([&] { RunTable::read(folder / "missing.h5"); });
  CHECK(missing.rfind((folder / "missing.h5").string() + ":", 0) == 0);
  CHECK(missing.find('\n') == std::string::npos);
}

TEST_CASE("runs: of a run every repeat was probed or none was, by times above 0") {
  const auto refused = [](const std::vector<HostState>& hosts) {
    const TemporaryFolder folder;
    RunTable table = example();
    table.runs[0].hosts = hosts;
    table.write(folder / "a.h5");
    const std::string message = message_of([&] { RunTable::read(folder / "a.h5"); });
    CHECK(message.find('\n') == std::string::npos);
    return message.substr(std::min(message.size(), (folder / "a.h5").string().size()));
  };
  const HostState good{9e-6, 0};
  CHECK(refused({}) == "");
  CHECK(refused({good, good, good}) == "");
  CHECK(refused({good, good}) ==
        ": /host: mixtral-b1/lru: another number than its repeats; expected a probe for each repeat of a "
        "run, in "
        "their order");
  CHECK(refused({good, {0, 0}, good}).find("a time that is not above 0") != std::string::npos);
  CHECK(refused({good, {9e-6, -1}, good}).find("a time that is not above 0") != std::string::npos);
}

TEST_CASE("runs: columns of different lengths, and steps of runs that are not there, are errors") {
  // The example with one dataset in place of its own. Six steps of run 0, one of run 1.
  const auto refused = [&](const std::string& dataset, const std::vector<std::int64_t>& data) {
    const TemporaryFolder folder;
    {
      example().write(folder / "good.h5");
      const H5File good = H5File::open(folder / "good.h5");
      H5File bad = H5File::create(folder / "bad.h5");
      bad.set("/", "format", "specmoe-runs");
      for (const std::string group : {"/about", "/run", "/step"})
        for (const std::string& name : good.list(group))
          if (group + "/" + name != dataset) bad.copy_from(good, group + "/" + name, group + "/" + name);
      bad.write(dataset, data);
    }
    const std::string message = message_of([&] { RunTable::read(folder / "bad.h5"); });
    CHECK(message.find('\n') == std::string::npos);
    return message.substr(std::min(message.size(), (folder / "bad.h5").string().size()));
  };
  CHECK(refused("/step/run", {0, 0, 0, 0, 0, 0, 1}) == "");
  CHECK(refused("/step/tokens", {1, 2, 3}) ==
        ": /step/tokens: another length than /step/run; expected a value for each step");
  CHECK(refused("/step/repeat", {0, 0, 1, 2, 2, 2}) ==
        ": columns of different length; expected a value for each run and step");
  CHECK(refused("/run/copied", {1, 2}) ==
        ": columns of different length; expected a value for each run and step");
  const std::string nobody = ": /step: a run or repeat that is not there; expected one of /run";
  CHECK(refused("/step/run", {0, 0, 0, 0, 0, 0, 3}) == nobody);
  CHECK(refused("/step/run", {-1, 0, 0, 0, 0, 0, 1}) == nobody);
  CHECK(refused("/step/repeat", {-1, 0, 1, 2, 2, 2, 0}) == nobody);
  CHECK(refused("/step/repeat", {0, 0, 1, 2, 2, 2'000'000'000, 0}) == nobody);
}

TEST_CASE("runs: the steps of a simulated run hold the engine's counters") {
  const TemporaryFolder folder;
  folder.write("two.yaml", kModel);
  const Scenario scenario = Scenario::load(folder.write("tiny.yaml", kScenario));
  const Strategy& strategy = scenario.strategies.at(0);
  // SimGrid allows one simulation a process.
  const std::string steps = run_isolated([&] {
    std::string all;
    simulate(scenario.platform, [&](Machine& machine) {
      for (const RunStep& each : run_steps(machine, scenario, strategy)) all += text_of(each);
    });
    return all;
  });
  struct Engine final : EngineObserver {
    void step_ended(const StepRecord& s) override {
      const Counters& c = s.counters;
      all += fmt::format("{} {} {} | {} {} {} {} | {} {} | {} {}\n", static_cast<int>(s.prefill), s.sequences,
                         s.tokens, c.accesses, c.hits, c.misses, c.issued, c.demand_bytes.count,
                         c.prefetch_bytes.count, (s.end - s.start).value, s.expert_wait.value);
      sum += c;
    }
    void run_ended(std::int64_t, Bytes) override {}
    std::string all;
    Counters sum;
  };
  const std::string engine = run_isolated([&] {
    Engine observer;
    simulate(scenario.platform, [&](Machine& machine) {
      const auto source = scenario.routing.open();
      run_engine(machine, scenario.model, *source, scenario.workload, strategy.settings, observer);
    });
    // Otherwise the comparison would be one of zeros.
    const Counters& c = observer.sum;
    return observer.all + fmt::format("{} {} {}", c.hits > 0, c.misses > 0, c.issued > 0);
  });
  CHECK(steps + "true true true" == engine);
  // Two prompts of three tokens, then four more tokens of each: five steps.
  CHECK(std::count(steps.begin(), steps.end(), '\n') == 5);
  CHECK(steps.rfind("1 2 6 | ", 0) == 0);
  CHECK(steps.find("\n0 2 2 | ") != std::string::npos);
}

TEST_CASE(
    "runs: validation's scenarios are found in order, and all can be run on the cards that were measured") {
  const std::vector<std::filesystem::path> files = validation_scenarios();
  REQUIRE(files.size() >= 20);
  CHECK(std::is_sorted(files.begin(), files.end()));
  for (const auto& file : files)
    for (const char* platform : {"h100_sxm_80gb", "h200_sxm"}) {
      CAPTURE(file);
      CHECK_NOTHROW(Scenario::load(file, platform));
    }
}
