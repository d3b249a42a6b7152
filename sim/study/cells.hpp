// What the replications of a point and a strategy say together, and against the baseline.
#pragma once
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "sim/base/bootstrap.hpp"
#include "sim/study/plan.hpp"

namespace specmoe {

/// The numbers of a run that are summed up over replications, by their names in RunSummary.
inline constexpr std::array kCellMetrics{"tpot", "ttft", "tokens_per_second", "hit_rate", "energy_per_token"};

/// Means over replications with their 95 % intervals (BCa); NaN where nothing was measured.
struct CellSummary {
  std::array<Estimate, kCellMetrics.size()> metrics;
  /// Of tokens a second, over those of the baseline with the same seeds; NaN for the baseline itself.
  Estimate gain{kNone, kNone, kNone, false};
  /// The same as Hedges' g, and the p value of the paired t test after Holm's correction over the study.
  Estimate effect{kNone, kNone, kNone, false};
  double p = kNone;

 private:
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
};

/// Sums up, cell after cell.
/// @param result of Plan::runs[i]; asked for again for each comparison, so that none need be kept
/// @return in the order of Plan::cells
std::vector<CellSummary> summarise(const Study& study, const Plan& plan,
                                   const std::function<RunSummary(std::size_t)>& result);

/// A line for each cell, at most so many; the rest is counted. Warns where the replications do not vary.
std::string study_table(const Study& study, const Plan& plan, const std::vector<CellSummary>& cells,
                        std::size_t most);

}  // namespace specmoe
