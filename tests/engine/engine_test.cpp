// The engine on a machine and a model that are small enough to follow by hand.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <vector>

#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "tests/approx.hpp"
#include "tests/engine/small_run.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

// Runs in a child: "<hits> <misses> <requested> <issued> <useful> <late> <useless> <grouped>\n" and the log.
std::string run(
    const EngineSettings& settings, const std::vector<std::vector<std::int16_t>>& rows,
    std::int64_t prefill = 0, const std::function<void(Platform&)>& change = [](Platform&) {}) {
  return run_isolated([&] {
    Platform platform = test_platform();
    change(platform);
    const MoeModel model = tiny(kModel);
    Script source(2, 4, 2, prefill, rows);
    Workload workload;
    workload.prefill = prefill > 0;
    Log log;
    simulate(
        platform, [&](Machine& machine) { run_engine(machine, model, source, workload, settings, log); },
        &log);
    const Counters& c = log.counters;
    return fmt::format("{} {} {} {} {} {} {} {}\n", c.hits, c.misses, c.requested, c.issued, c.useful, c.late,
                       c.useless, log.grouped) +
           log.text();
  });
}

}  // namespace

TEST_CASE("engine: a missing expert is loaded, then computed - the second use is a hit") {
  const EngineSettings s = settings_for(tiny(kModel), 8);
  CHECK(run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}}) ==
        "4 4 0 0 0 0 0 0\n"
        "load L0 E0\nload L0 E1\nexpert L0 E0\nexpert L0 E1\n"
        "load L1 E2\nload L1 E3\nexpert L1 E2\nexpert L1 E3\n"
        "expert L0 E0\nexpert L0 E1\nexpert L1 E2\nexpert L1 E3\n");
}

TEST_CASE("engine: hits are computed before misses") {
  const EngineSettings s = settings_for(tiny(kModel), 8);
  // Second token, layer 0: expert 2 is missing and expert 1 is there.
  const std::string log = run(s, {{0, 1, 0, 1}, {2, 1, 0, 1}});
  CHECK(log.substr(log.rfind("load")) ==
        "load L0 E2\nexpert L0 E1\nexpert L0 E2\nexpert L1 E0\nexpert L1 E1\n");
}

TEST_CASE("engine: a layer that is larger than the cache goes through it one expert after the other") {
  const EngineSettings s = settings_for(tiny(kModel), 1);
  CHECK(run(s, {{0, 1, 2, 3}}) ==
        "0 4 0 0 0 0 0 0\n"
        "load L0 E0\nexpert L0 E0\nload L0 E1\nexpert L0 E1\n"
        "load L1 E2\nexpert L1 E2\nload L1 E3\nexpert L1 E3\n");
}

TEST_CASE(
    "engine: the oracle's prefetch queues behind the layer's own loads and makes the next layer a hit") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.predictor = &predictor_named("oracle");
  s.window = 1;
  // requested = issued = 2 (layer 1 of token 1); the second token finds everything.
  const std::string log = run(s, {{0, 1, 2, 3}, {0, 1, 2, 3}});
  CHECK(log.substr(0, log.find('\n') + 1).substr(0, 8) == "6 2 2 2 ");
  CHECK(log.find("load L0 E0\nload L0 E1\n") != std::string::npos);
  CHECK(log.find("prefetch L1 E2\n") > log.find("load L0 E1\n"));
  CHECK(log.find("prefetch L1 E2\n") != std::string::npos);
}

TEST_CASE(
    "engine: a wrong prefetch is useless, costs its bytes and does not push out the layer's own experts") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.predictor = &predictor_named("gate");
  s.window = 1;
  s.accuracy = {{0.0}};
  // Layer 1 wants {2, 3}; the gate at accuracy 0 names {0, 1}: two copies that nobody uses.
  const std::string log = run(s, {{0, 1, 2, 3}});
  CHECK(log.substr(0, log.find('\n')) == "0 4 2 2 0 0 2 0");
}

TEST_CASE("engine: prefetches keep to the budget") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.predictor = &predictor_named("oracle");
  s.prefetch_budget = tiny(kModel).expert_bytes();
  // Two experts are wanted a layer, one may be issued: the other is a miss.
  const std::string log = run(s, {{0, 1, 2, 3}});
  CHECK(log.substr(0, 8) == "1 3 2 1 ");
}

TEST_CASE("engine: experts that wait for nothing are computed in grouped launches") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.start = &start_named("popular");
  s.popularity = {{1, 1, 1, 1}, {1, 1, 1, 1}};
  const auto grouped = [&] {
    const std::string log = run(s, {{0, 1, 2, 3}});
    const std::string head = log.substr(0, log.find('\n'));
    return std::stoi(head.substr(head.rfind(' ')));
  };
  CHECK(grouped() == 0);
  s.grouped = Grouping::faster;
  CHECK(grouped() == 4);  // gate-up and down in each of two layers
}

TEST_CASE("engine: experts are grouped always or never, whatever the prices say") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.start = &start_named("popular");
  s.popularity = {{1, 1, 1, 1}, {1, 1, 1, 1}};
  for (const bool slow : {false, true})
    for (const Grouping grouping : {Grouping::never, Grouping::faster, Grouping::always}) {
      s.grouped = grouping;
      const std::string log = run(s, {{0, 1, 2, 3}}, 0, [=](Platform& platform) {
        if (slow) platform.devices[1].saturation[1].floor = {1};
      });
      const std::string head = log.substr(0, log.find('\n'));
      const bool grouped = grouping == Grouping::always || (grouping == Grouping::faster && !slow);
      CHECK(head.substr(head.rfind(' ') + 1) == (grouped ? "4" : "0"));
    }
}

TEST_CASE("engine: grouped launches that cost the host more than single ones are not the faster") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  s.grouped = Grouping::faster;
  s.start = &start_named("popular");
  s.popularity = {{1, 1, 1, 1}, {1, 1, 1, 1}};
  const std::string log = run(
      s, {{0, 1, 2, 3}}, 0, [](Platform& platform) { platform.devices[1].saturation[1].dispatch = {1e-3}; });
  CHECK(log.substr(0, log.find('\n')) == "4 0 0 0 0 0 0 0");
}

TEST_CASE("engine: a simulated step that is shorter than its critical path breaks a law") {
  StepRecord step;
  step.start = {1};
  step.end = {3};
  step.critical_path = {2};
  CHECK_NOTHROW(check_step_laws(step));
  step.critical_path = {2.01};
  CHECK_THROWS_WITH_AS(check_step_laws(step), "a step is never shorter than its critical path",
                       std::logic_error);
}

TEST_CASE("engine: the host's own work holds up each step and each MoE layer") {
  EngineSettings s = settings_for(tiny(kModel), 8);
  const auto duration = [&](double step, double layer) {
    s.step_work = {step};
    s.layer_work = {layer};
    return std::stod(run_isolated([&] {
      const MoeModel model = tiny(kModel);
      Script source(2, 4, 2, 0, {{0, 1, 2, 3}});
      Workload workload;
      workload.prefill = false;
      Totals totals;
      const SimulationEnd end = simulate(test_platform(), [&](Machine& machine) {
        run_engine(machine, model, source, workload, s, totals);
      });
      return fmt::format("{}", end.date.value);
    }));
  };
  // One step of two blocks. After a router the GPU has nothing to do: all of it is seen.
  const double without = duration(0, 0);
  CHECK(duration(0.001, 0) - without == approx(0.001));
  CHECK(duration(0, 0.001) - without == approx(0.002));
}

TEST_CASE("engine: without deduplication every token takes up its experts by itself") {
  EngineSettings s = settings_for(tiny(kModel), 1);
  // A prompt of two tokens that want the same experts: 2 layers x 2 experts with deduplication, twice that
  // without.
  const std::vector<std::vector<std::int16_t>> prompt{{0, 1, 2, 3}, {0, 1, 2, 3}};
  CHECK(run(s, prompt, 2).substr(0, 4) == "0 4 ");
  s.deduplicate = false;
  CHECK(run(s, prompt, 2).substr(0, 4) == "2 6 ");
}

TEST_CASE("engine: routing of another shape than the model's is refused") {
  const MoeModel model = tiny(kModel);
  CHECK_THROWS_WITH_AS(run_isolated([&] {
                         Script source(3, 4, 2, 0, {{0, 1, 0, 1, 0, 1}});
                         Totals totals;
                         Workload workload;
                         workload.prefill = false;
                         simulate(test_platform(), [&](Machine& machine) {
                           run_engine(machine, model, source, workload, settings_for(model, 8), totals);
                         });
                         return std::string();
                       }),
                       doctest::Contains("expected two's 2 layers of 4 experts, top-2"), InputError);
}

TEST_CASE("engine: with nothing to wait for, a step takes its critical path and what the host adds") {
  // Host calls cost nothing: the step is the kernels, the routing's way back to the host (10 us a copy and
  // 16 B / 25 GB/s) once a layer, and no more.
  const std::string exposed = run_isolated([] {
    const MoeModel model = tiny(kModel);
    Script source(2, 4, 2, 0, {{0, 1, 2, 3}});
    Workload workload;
    workload.prefill = false;
    EngineSettings s = settings_for(model, 8);
    s.start = &start_named("popular");
    s.popularity = {{1, 1, 1, 1}, {1, 1, 1, 1}};
    Platform platform = test_platform();
    set_host_calls(platform, {});
    Totals totals;
    simulate(platform, [&](Machine& machine) { run_engine(machine, model, source, workload, s, totals); });
    return fmt::format("{:a}", totals.steps.at(0).exposed_stall().value);
  });
  CHECK(std::stod(exposed) == specmoe::approx(2 * (10e-6 + 16 / 25e9)).epsilon(1e-6));
}

namespace {

// Decode steps and prefill steps of a batch of two requests of five prompt tokens and three decoded ones.
std::string plan(std::int64_t chunk) {
  RoutingOptions options;
  options.layers = 2;
  options.experts = 4;
  options.top_k = 2;
  options.requests = 2;
  options.prompt_tokens = 5;
  options.output_tokens = 3;
  const RoutingGenerator source(options);
  Workload workload;
  workload.requests = workload.batch = 2;
  workload.prefill_chunk = chunk;
  StepPlan steps(source, workload, true);
  std::string all;
  while (const auto step = steps.next()) {
    all += step->prefill ? "P" : "D";
    for (const Slice& slice : step->slices)
      all += fmt::format(" {}:{}+{}@{}", slice.request, slice.first_row, slice.rows, slice.context);
    all += fmt::format(" ends {}\n", step->finishing);
  }
  return all;
}

}  // namespace

TEST_CASE("workload: prompts are computed in chunks, and decoding begins when all are done") {
  const std::string decode =
      "D 0:5+1@5 1:5+1@5 ends 2\n"
      "D 0:6+1@6 1:6+1@6 ends 2\n"
      "D 0:7+1@7 1:7+1@7 ends 2\n";
  CHECK(plan(100) == "P 0:0+5@0 1:0+5@0 ends 2\n" + decode);
  CHECK(plan(4) == "P 0:0+4@0 ends 0\nP 0:4+1@4 1:0+3@0 ends 1\nP 1:3+2@3 ends 1\n" + decode);
}

TEST_CASE("engine: the critical path is the same for every strategy of a scenario") {
  for (std::uint64_t seed = 2000; seed < 2020; ++seed) {
    CAPTURE(seed);
    const auto paths = [&](const char* predictor, std::int64_t share, bool popular) {
      return run_isolated([&] {
        RandomScenario scenario = random_scenario(seed, true);
        EngineSettings& s = scenario.settings;
        load_all_in_full(s);
        s.host_cache.reset();
        s.predictor = &predictor_named(predictor);
        s.eviction = &eviction_named("lru");
        s.start = popular ? &start_named("popular") : nullptr;
        s.cache_capacity = scenario.model.expert_bytes() *
                           std::max<std::int64_t>(scenario.model.moe_layers,
                                                  scenario.model.moe_layers * scenario.model.experts / share);
        RoutingGenerator source(scenario.routing);
        Totals totals;
        simulate(scenario.platform, [&](Machine& machine) {
          run_engine(machine, scenario.model, source, scenario.workload, s, totals);
        });
        std::string all;
        for (const StepRecord& step : totals.steps) all += fmt::format("{:.15g} ", step.critical_path.value);
        return all;
      });
    };
    const std::string resident = paths("none", 1, true);
    CHECK(paths("none", 4, false) == resident);
    CHECK(paths("gate", 2, false) == resident);
    CHECK(paths("oracle", 2, true) == resident);
  }
}
