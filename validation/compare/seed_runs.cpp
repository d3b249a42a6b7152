#include "validation/compare/seed_runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "sim/base/isolated.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

namespace {

struct Observer : EngineObserver {
  void step_ended(const StepRecord& step) override {
    check_step_laws(step);
    totals.seconds = step.end.value;
    totals.routed += step.counters.routed;
    totals.accesses += step.counters.accesses;
    totals.found += step.counters.hits - step.counters.late;
  }
  void run_ended(std::int64_t, Bytes) override {}
  SeedTotals totals;
};

}  // namespace

void SeedRuns::want(const Yaml& scenario, const std::string& strategy, const Yaml& where) {
  auto found = scenarios_.find(scenario.text());
  if (found == scenarios_.end()) {
    const std::filesystem::path file = folder_ / (scenario.text() + ".yaml");
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(file, ignored))
      scenario.fail("a scenario of " + folder_.string() + ", without .yaml");
    found = scenarios_.emplace(scenario.text(), Scenario::load(file)).first;
  }
  std::vector<std::string_view> names;
  for (const Strategy& each : found->second.strategies) names.push_back(each.name);
  if (std::find(names.begin(), names.end(), strategy) == names.end()) where.fail_choice(names);
  totals_[{scenario.text(), strategy}] = {};
}

void SeedRuns::run(int jobs, const std::function<void(const std::string&)>& say) {
  std::vector<IsolatedWork> works;
  for (const auto& each : totals_) {
    const auto& name = each.first;  // clang 14 captures no structured binding
    const Scenario& scenario = scenarios_.at(name.first);
    const auto strategy =
        std::find_if(scenario.strategies.begin(), scenario.strategies.end(),
                     [&wanted = name.second](const Strategy& s) { return s.name == wanted; });
    works.push_back([&scenario, strategy] {
      Observer observer;
      const auto source = scenario.routing.open();
      simulate(scenario.platform, [&](Machine& machine) {
        run_engine(machine, scenario.model, *source, scenario.workload, strategy->settings, observer);
      });
      return std::string(reinterpret_cast<const char*>(&observer.totals), sizeof observer.totals);
    });
  }
  say(fmt::format("{} runs of {} scenarios\n", works.size(), scenarios_.size()));
  const std::vector<std::string> results = run_isolated(works, jobs);
  std::size_t i = 0;
  for (auto& [name, totals] : totals_) std::memcpy(&totals, results[i++].data(), sizeof totals);
}

double shared_if_uniform(std::int64_t experts, std::int64_t k, std::int64_t batch) {
  const auto e = static_cast<double>(experts), pairs = static_cast<double>(batch * k);
  return 1 - e * (1 - std::pow(1 - static_cast<double>(k) / e, static_cast<double>(batch))) / pairs;
}

double shared_in(RoutingSource& source, std::int64_t batch, std::int64_t steps) {
  const std::int64_t k = source.top_k(), layers = source.layers(), row = layers * k;
  std::vector<std::int16_t> rows(static_cast<std::size_t>(batch * steps * row));
  for (std::int64_t r = 0; r < batch; ++r)
    source.read(r, source.request(r).prefill_rows, steps,
                std::span(rows).subspan(static_cast<std::size_t>(r * steps * row),
                                        static_cast<std::size_t>(steps * row)));
  std::int64_t different = 0;
  for (std::int64_t step = 0; step < steps; ++step)
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      std::set<std::int16_t> seen;
      for (std::int64_t r = 0; r < batch; ++r) {
        const auto at = rows.begin() + (r * steps + step) * row + layer * k;
        seen.insert(at, at + k);
      }
      different += std::ssize(seen);
    }
  return 1 - seed_share(different, batch * steps * row);
}

}  // namespace specmoe
