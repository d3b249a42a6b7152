// Runs a scenario: every strategy in a process of its own, their results joined in one file.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// How a scenario is run.
struct RunOptions {
  /// results.h5 goes here; made when missing.
  std::filesystem::path out;
  /// Simulations at a time.
  int jobs = 1;
  std::optional<std::filesystem::path> timeline;
  /// Of every run, so many steps are in the timeline.
  std::int64_t timeline_steps = 4;
  /// A results.h5 that an earlier call finished is taken as it is, if nothing that it depends on has changed.
  bool reuse = false;
  /// Hears of progress, one line at a time; and of the share that is done, about twice a second.
  std::function<void(const std::string&)> say;
  std::function<void(double)> progress;
};

/// A strategy that ended before an earlier call was interrupted is not run again, if neither the scenario,
/// nor the data it names, nor the program has changed since.
/// @return the path of results.h5 (layout: recorder.hpp).
std::filesystem::path run_scenario(const Scenario& scenario, const RunOptions& options);

}  // namespace specmoe
