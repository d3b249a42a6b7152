// The same engine on SimGrid and on the hand-written event queue: every kernel and every copy on the same
// dates.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/engine/random_scenario.hpp"
#include "tests/machine/recording.hpp"

using namespace specmoe;
using namespace specmoe::testing;

TEST_CASE("engine: 200 random scenarios on exclusive resources have the event queue's dates to 1e-9") {
  std::size_t compared = 0;
  for (std::uint64_t seed = 1000; seed < 1200; ++seed) {
    CAPTURE(seed);
    const RandomScenario scenario = random_scenario(seed, false);
    const Program program = [&](Machine& machine, std::vector<double>& steps) {
      WeightedGenerator source(scenario.routing);
      Totals totals;
      run_engine(machine, scenario.model, source, scenario.workload, scenario.settings, totals);
      for (const StepRecord& step : totals.steps) {
        steps.push_back(step.end.value);
        steps.push_back(step.expert_wait.value);
        steps.push_back(static_cast<double>(step.counters.late));
      }
    };
    const Recording simulated = run_simulated(scenario.platform, program);
    const Recording queue = run_queue(scenario.platform, program);
    REQUIRE(simulated.notes.size() == queue.notes.size());
    double worst = std::abs(simulated.end - queue.end) / queue.end;
    for (std::size_t i = 0; i < queue.notes.size(); ++i)
      worst = std::max(worst,
                       std::abs(simulated.notes[i] - queue.notes[i]) / std::max(queue.notes[i], queue.end));
    for (int stream = 0; stream < 10; ++stream) {
      const auto a = simulated.of({stream}), b = queue.of({stream});
      REQUIRE(a.size() == b.size());
      for (std::size_t i = 0; i < b.size(); ++i)
        worst = std::max(
            {worst, std::abs(a[i].start - b[i].start) / b[i].end, std::abs(a[i].end - b[i].end) / b[i].end});
      compared += b.size();
    }
    CHECK(worst <= 1e-9);
  }
  CHECK(compared > 50'000);
}
