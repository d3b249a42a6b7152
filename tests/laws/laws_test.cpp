// The laws of the design, on random scenarios. Each simulation runs in a process of its own.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "sim/base/isolated.hpp"
#include "sim/machine/machine.hpp"
#include "tests/engine/random_scenario.hpp"
#include "tests/machine/test_platform.hpp"

using namespace specmoe;

namespace {

constexpr int kScenarios = 300;

// Watches a run and throws when a law is broken.
class Watch : public Totals, public MachineObserver {
 public:
  explicit Watch(const RandomScenario& scenario) : scenario_(scenario) {}

  void copy_ended(Stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
                  Seconds end) override {
    for (const Hop& hop : route.hops) {
      link_bytes[hop.forward] += bytes;
      ++link_copies[hop.forward];
    }
    if (label.expert < 0) return;
    arrived_[{label.layer, label.expert}] = end;
    lives_[{label.layer, label.expert}].push_back({start, end});
  }
  void kernel_ended(Stream, const Kernel& kernel, Seconds start, Seconds end) override {
    ++kernels;
    if (kernel.expert < 0) return;
    auto& lives = lives_[{kernel.layer, kernel.expert}];
    if (lives.empty()) lives.push_back({{0}, end});  // there from the start
    // The kernel read what the last copy that had begun by then brought.
    const auto life =
        std::find_if(lives.rbegin(), lives.rend(), [&](const Life& l) { return l.begin <= start; });
    if (life != lives.rend()) life->end = std::max(life->end, end);
    const auto arrival = arrived_.find({kernel.layer, kernel.expert});
    if (arrival == arrived_.end()) {
      if (!scenario_.settings.start) throw std::logic_error("an expert is used that never came");
    } else if (start < arrival->second) {
      throw std::logic_error("an expert is used before its copy ended");
    }
  }
  void check() const {
    const Counters& c = counters;
    const auto hold = [](bool law, const std::string& name) {
      if (!law) throw std::logic_error(name);
    };
    hold(c.hits + c.misses == c.accesses, "hits + misses = accesses");
    hold(c.routed >= c.accesses, "routed >= accesses");
    hold(c.requested >= c.issued && c.issued == c.useful + c.late + c.useless,
         fmt::format("requested {} >= issued {} >= useful {} + late {} + useless {}", c.requested, c.issued,
                     c.useful, c.late, c.useless));
    hold(link_bytes.count(true) == 0 ||
             link_bytes.at(true) == scenario_.model.expert_bytes() * link_copies.at(true),
         "bytes on a link = copies x size");
    hold(c.demand_bytes + c.prefetch_bytes == scenario_.model.expert_bytes() * (c.misses + c.issued),
         "expert bytes = loads x size");
    hold(cache_peak <= scenario_.settings.cache_capacity, "resident + in flight <= capacity");
    for (const StepRecord& step : steps)
      hold(scenario_.settings.host_memory == HostMemory::pageable ||
               step.expert_wait <= step.exposed_stall() * (1 + 1e-9) + Seconds{1e-12},
           "waiting for experts is part of the exposed stall");
    for (const StepRecord& step : steps) check_step_laws(step);
    hold(kernels > 0, "a run launches kernels");
    if (scenario_.settings.grouped == Grouping::never)  // a grouped kernel does not name its experts
      hold(most_alive() <= slots(), "no slot is overwritten before its last kernel has ended");
  }
  std::map<bool, Bytes> link_bytes;
  std::map<bool, std::int64_t> link_copies;
  std::int64_t kernels = 0;

 private:
  // From the start of an expert's copy to the end of the last kernel that reads it.
  struct Life {
    Seconds begin, end;
  };
  std::size_t most_alive() const {
    std::vector<std::pair<double, int>> changes;
    for (const auto& [expert, lives] : lives_)
      for (const Life& life : lives) {
        changes.emplace_back(life.begin.value, 1);
        changes.emplace_back(life.end.value * (1 - 1e-12), -1);
      }
    std::sort(changes.begin(), changes.end());
    std::size_t alive = 0, most = 0;
    for (const auto& [date, change] : changes)
      most = std::max(most, alive += static_cast<std::size_t>(change));
    return most;
  }
  std::size_t slots() const {
    const std::int64_t pools =
        scenario_.settings.cache_scope == CacheScope::layer ? scenario_.model.moe_layers : 1;
    return static_cast<std::size_t>(scenario_.settings.cache_capacity.count / pools /
                                    scenario_.model.expert_bytes().count * pools);
  }

  const RandomScenario& scenario_;
  std::map<std::pair<int, int>, Seconds> arrived_;
  std::map<std::pair<int, int>, std::vector<Life>> lives_;
};

struct Outcome {
  Seconds end;
  Counters counters;
};

Outcome run(const RandomScenario& scenario) {
  Watch watch(scenario);
  RoutingGenerator source(scenario.routing);
  const Seconds end = simulate(
      scenario.platform,
      [&](Machine& machine) {
        run_engine(machine, scenario.model, source, scenario.workload, scenario.settings, watch);
      },
      &watch);
  watch.check();
  return {end, watch.counters};
}

// Runs in a child; the outcome comes back as text.
std::string run_apart(const RandomScenario& scenario) {
  return run_isolated([&] {
    const Outcome o = run(scenario);
    return fmt::format("{:a} {} {} {} {}", o.end.value, o.counters.misses, o.counters.hits, o.counters.issued,
                       o.counters.late);
  });
}
double seconds_of(const std::string& outcome) { return std::stod(outcome); }
std::int64_t misses_of(const std::string& outcome) { return std::stoll(outcome.substr(outcome.find(' '))); }

}  // namespace

TEST_CASE("laws: counts add up, bytes are conserved, no expert is used too early, on 300 random scenarios") {
  for (int seed = 0; seed < kScenarios; ++seed) {
    CAPTURE(seed);
    CHECK_NOTHROW(run_apart(random_scenario(static_cast<std::uint64_t>(seed), seed % 2 == 0)));
  }
}

TEST_CASE("laws: every policy and every predictor keeps the laws, together with random others") {
  const auto each = [](const auto& kinds, auto set) {
    int seed = 1000;
    for (const auto& kind : kinds)
      for (int i = 0; i < 8; ++i, ++seed) {
        RandomScenario scenario = random_scenario(static_cast<std::uint64_t>(seed), seed % 2 == 0);
        set(scenario.settings, kind);
        if (scenario.settings.predictor->name == "external") continue;  // needs a file
        if (scenario.settings.eviction->needs_future) scenario.settings.predictor = &predictor_named("none");
        CAPTURE(seed);
        CAPTURE(kind.name);
        CHECK_NOTHROW(run_apart(scenario));
      }
  };
  each(eviction_kinds(), [](EngineSettings& s, const EvictionKind& kind) { s.eviction = &kind; });
  each(predictor_kinds(), [](EngineSettings& s, const PredictorKind& kind) { s.predictor = &kind; });
  each(placement_kinds(), [](EngineSettings& s, const PlacementKind& kind) { s.start = &kind; });
}

TEST_CASE("laws: the same scenario and seed end at the same date to the last bit") {
  for (int seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const RandomScenario scenario = random_scenario(static_cast<std::uint64_t>(seed), true);
    CHECK(run_apart(scenario) == run_apart(scenario));
  }
}

TEST_CASE("laws: Belady has no more misses than any policy at equal capacity under demand loading") {
  for (int seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    RandomScenario scenario = random_scenario(static_cast<std::uint64_t>(seed), false);
    scenario.settings.predictor = &predictor_named("none");
    scenario.settings.start = nullptr;
    scenario.settings.deduplicate = true;
    // The engine looks a whole layer up at once: Belady is the best when a layer's experts fit together.
    const std::int64_t group =
        scenario.model.experts *
        (scenario.settings.cache_scope == CacheScope::layer ? scenario.model.moe_layers : 1);
    scenario.settings.cache_capacity =
        std::max(scenario.settings.cache_capacity, scenario.model.expert_bytes() * group);
    scenario.settings.eviction = &eviction_named("belady");
    const std::int64_t best = misses_of(run_apart(scenario));
    for (const EvictionKind& kind : eviction_kinds()) {
      CAPTURE(kind.name);
      scenario.settings.eviction = &kind;
      CHECK(best <= misses_of(run_apart(scenario)));
    }
  }
}

// Neither copies without a pause nor kernels beside copies guarantee it: a faster link may leave a pause before the
// next copy, which then takes its latency. It held on 3,000 scenarios.
TEST_CASE("laws: a faster link never slows a run without prefetch") {
  for (int seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    RandomScenario scenario = random_scenario(static_cast<std::uint64_t>(seed), true);
    scenario.settings.predictor = &predictor_named("none");
    const double before = seconds_of(run_apart(scenario));
    for (Link& link : scenario.platform.links) {
      link.duplex = link.duplex * 1.5;
      for (Direction* way : testing::directions(link)) way->bandwidth = way->bandwidth * 1.5;
    }
    CHECK(seconds_of(run_apart(scenario)) <= before * (1 + 1e-12));
  }
}
