#include "sim/study/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "sim/base/fnv.hpp"
#include "sim/base/input_error.hpp"
#include "sim/results/fingerprint.hpp"
#include "sim/results/recorder.hpp"
#include "sim/scenario/scenario.hpp"

namespace specmoe {

namespace {

Scenario read_point(const Study& study, std::size_t point, std::int64_t replication,
                    std::vector<RefusedStrategy>& refused) {
  try {
    return Scenario::read(study.scenario, study.edits(point, replication), &refused);
  } catch (const InputError& error) {
    const std::string label = study.label(point);
    if (label.empty()) throw;
    throw InputError("", 0, fmt::format("{} (at {})", error.what(), label));
  }
}

// Grows with experts used and tokens, which is what a simulation's time goes with.
double weight_of(const Scenario& scenario) {
  const auto experts = static_cast<double>(scenario.model.experts);
  const double tokens = static_cast<double>(scenario.peak.tokens) / static_cast<double>(scenario.peak.steps);
  const double used = std::min(experts, tokens * static_cast<double>(scenario.model.top_k));
  return static_cast<double>(scenario.peak.steps) *
         (20 + static_cast<double>(scenario.model.moe_layers) * (10 + used));
}

std::int32_t number_of(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) names.push_back(name);
  return static_cast<std::int32_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

template <class T>
void put(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
void take(const char*& at, T& value) {
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
}

}  // namespace

Plan Plan::make(const Study& study, const std::function<void(double)>& progress) {
  Plan plan;
  const std::size_t points = study.points();
  for (const Axis& axis : study.axes)
    for (const AxisValue& value : axis.values)
      for (const Edit& edit : value.edits)
        if (edit.path == "seed")
          edit.value.fail("replications, which change the seed; or another seed in the scenario");
  for (std::size_t point = 0; point < points; ++point) {
    if (progress) progress(static_cast<double>(point) / static_cast<double>(points));
    std::vector<RefusedStrategy> refused;
    const Scenario scenario = read_point(study, point, 0, refused);
    if (study.by_requests && study.replications > 1) {
      std::vector<RefusedStrategy> ignored;
      read_point(study, point, study.replications - 1, ignored);
    }
    PointInfo info{scenario.platform.name, scenario.model.name, scenario.workload.batch,
                   scenario.platform.price, std::numeric_limits<double>::quiet_NaN()};
    if (!scenario.strategies.empty()) {
      const EngineSettings& s = scenario.strategies.front().settings;
      info.capacity_share = s.cache_capacity / all_experts(scenario, s);
    }
    info.inputs = fingerprint_of_inputs(scenario);
    plan.points.push_back(std::move(info));
    const std::string print = fingerprint(scenario);
    const double weight = weight_of(scenario);
    for (const Strategy& strategy : scenario.strategies) {
      const std::int32_t number = number_of(plan.strategies, strategy.name);
      plan.cells.push_back({static_cast<std::int32_t>(point), number, "", plan.runs.size()});
      for (std::int64_t replication = 0; replication < study.replications; ++replication) {
        const std::string all =
            fmt::format("{} {} {} {}", print, study.by_requests ? "requests" : "seed",
                        study.by_requests ? replication : study.seed(replication), strategy.name);
        plan.runs.push_back({static_cast<std::int32_t>(point), static_cast<std::int32_t>(replication), number,
                             fnv1a(std::as_bytes(std::span(all))), weight});
      }
    }
    for (const RefusedStrategy& each : refused)
      plan.cells.push_back({static_cast<std::int32_t>(point), number_of(plan.strategies, each.name), each.why,
                            plan.runs.size()});
  }
  if (!study.baseline.strategy.empty() && std::find(plan.strategies.begin(), plan.strategies.end(),
                                                    study.baseline.strategy) == plan.strategies.end())
    throw InputError(study.file, 0, fmt::format("baseline: no strategy \"{}\"", study.baseline.strategy),
                     fmt::format("one of {}", fmt::join(plan.strategies, ", ")));
  return plan;
}

std::string RunResult::bytes() const {
  std::string bytes;
  for_each_field(summary, [&](const char*, const auto& field) { put(bytes, field); });
  put(bytes, static_cast<std::uint64_t>(decode_steps.size()));
  bytes.append(reinterpret_cast<const char*>(decode_steps.data()), decode_steps.size() * sizeof(float));
  return bytes;
}

RunResult RunResult::parse(const std::string& bytes) {
  RunResult result;
  std::size_t fixed = sizeof(std::uint64_t);
  for_each_field(result.summary, [&](const char*, auto& field) { fixed += sizeof field; });
  if (bytes.size() < fixed) throw std::logic_error("study: a result of another program");
  const char* at = bytes.data();
  for_each_field(result.summary, [&](const char*, auto& field) { take(at, field); });
  std::uint64_t steps = 0;
  take(at, steps);
  if (steps != (bytes.size() - fixed) / sizeof(float))
    throw std::logic_error("study: a result of another program");
  result.decode_steps.resize(steps);
  std::memcpy(result.decode_steps.data(), at, steps * sizeof(float));
  return result;
}

RunResult simulate_run(const Study& study, const Plan& plan, const StudyRun& run) {
  std::vector<RefusedStrategy> refused;
  const Scenario scenario = read_point(study, static_cast<std::size_t>(run.point), run.replication, refused);
  if (fingerprint_of_inputs(scenario) != plan.points[static_cast<std::size_t>(run.point)].inputs)
    throw InputError(scenario.file, 0, "a file that it names has changed while the study ran",
                     "the same command again");
  const std::string& name = plan.strategies[static_cast<std::size_t>(run.strategy)];
  const auto strategy = std::find_if(scenario.strategies.begin(), scenario.strategies.end(),
                                     [&](const Strategy& s) { return s.name == name; });
  if (strategy == scenario.strategies.end()) throw std::logic_error("study: a planned strategy is gone");
  Recorder recorder(scenario, *strategy);
  const auto source = scenario.routing.open();
  const SimulationEnd end = simulate(
      scenario.platform,
      [&](Machine& machine) {
        run_engine(machine, scenario.model, *source, scenario.workload, strategy->settings, recorder);
      },
      &recorder);
  RunResult result{recorder.finish(end), {}};
  for (const double duration : recorder.decode_durations())
    result.decode_steps.push_back(static_cast<float>(duration));
  return result;
}

}  // namespace specmoe
