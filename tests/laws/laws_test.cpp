// The laws of the design, on random scenarios. Each simulation runs in a process of its own.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "sim/base/isolated.hpp"
#include "sim/machine/machine.hpp"
#include "tests/engine/random_scenario.hpp"

using namespace specmoe;

namespace {

constexpr int kScenarios = 300;

// Watches a run and throws when a law is broken.
class Watch : public Totals, public MachineObserver {
 public:
  explicit Watch(const RandomScenario& scenario) : scenario_(scenario) {}

  void copy_ended(Stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds,
                  Seconds end) override {
    for (const Hop& hop : route.hops) {
      link_bytes[hop.forward] += bytes;
      ++link_copies[hop.forward];
    }
    if (label.expert >= 0) arrived_[{label.layer, label.expert}] = end;
  }
  void kernel_ended(Stream, const Kernel& kernel, Seconds start, Seconds) override {
    ++kernels;
    if (kernel.expert < 0) return;
    const auto arrival = arrived_.find({kernel.layer, kernel.expert});
    if (arrival == arrived_.end()) {
      if (!scenario_.settings.start_popular) throw std::logic_error("an expert is used that never came");
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
    for (const StepRecord& step : steps)
      hold(step.exposed_stall().value >= -1e-12, "a step is never shorter than its critical path");
    hold(kernels > 0, "a run launches kernels");
  }
  std::map<bool, Bytes> link_bytes;
  std::map<bool, std::int64_t> link_copies;
  std::int64_t kernels = 0;

 private:
  const RandomScenario& scenario_;
  std::map<std::pair<int, int>, Seconds> arrived_;
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
    scenario.settings.start_popular = false;
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

TEST_CASE("laws: a faster link never slows a run without prefetch") {
  for (int seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    RandomScenario scenario = random_scenario(static_cast<std::uint64_t>(seed), true);
    scenario.settings.predictor = &predictor_named("none");
    const double before = seconds_of(run_apart(scenario));
    for (Link& link : scenario.platform.links) {
      for (BytesPerSecond* rate :
           {&link.forward, &link.backward, &link.duplex, &link.pageable_forward, &link.pageable_backward})
        *rate = *rate * 1.5;
    }
    CHECK(seconds_of(run_apart(scenario)) <= before * (1 + 1e-12));
  }
}
