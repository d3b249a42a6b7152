// Every run of a study, checked before the first one runs.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/results/summary.hpp"
#include "sim/study/study.hpp"

namespace specmoe {

/// One simulation.
struct StudyRun {
  std::int32_t point, replication;
  std::int32_t strategy;  // of Plan::strategies
  /// Of all that its result depends on.
  std::uint64_t key;
  /// Grows with what it is likely to take; no unit.
  double weight;
};

/// A strategy at a point, which holds for all replications.
struct StudyCell {
  std::int32_t point, strategy;
  /// Why it cannot run there; empty if it can.
  std::string refused;
  /// In Plan::runs, one for each replication; none if it is refused.
  std::size_t first_run;
};

/// What a point's scenario is about, for tables and fronts.
struct PointInfo {
  std::string platform, model;
  std::int64_t batch;
  double price;  // USD of the machine's GPUs; NaN where the platform does not tell
  /// Of all experts' bytes, that of its first strategy; NaN if none can run.
  double capacity_share;
  /// Of the files that it names, when the plan was made; see fingerprint_of_inputs.
  std::string inputs{};
};

/// All cells and runs of a study, in a fixed order.
struct Plan {
  std::vector<std::string> strategies;  // names, in order of appearance
  std::vector<PointInfo> points;
  std::vector<StudyCell> cells;  // by point, then strategy
  std::vector<StudyRun> runs;    // by cell, then replication

  /// Reads the scenario of every point.
  /// @param progress hears of the share of points that were read.
  /// @throws InputError naming the point, for whatever Scenario::read refuses other than a strategy that cannot run
  static Plan make(const Study& study, const std::function<void(double)>& progress = {});
};

/// What a run gives.
struct RunResult {
  RunSummary summary;
  std::vector<float> decode_steps;  // s

  std::string bytes() const;
  static RunResult parse(const std::string& bytes);
};

/// Simulates in this process, so call it in a child (see run_isolated).
RunResult simulate_run(const Study& study, const Plan& plan, const StudyRun& run);

}  // namespace specmoe
