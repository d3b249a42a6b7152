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
inline constexpr std::array kCellMetrics{
    "tpot", "ttft", "tokens_per_second", "hit_rate", "energy_per_token", "peak_gpu_memory"};

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

/// Of points with a gain and a cost, those that no other has at least as much gain for at most the cost (one of equals
/// stays), by rising cost; what is not finite is on no front.
std::vector<std::size_t> pareto_front(const std::vector<double>& gain, const std::vector<double>& cost);

/// The fronts of decoded tokens a second against GPU memory, joules a token and price, as far as they are known.
std::string pareto_table(const Study& study, const Plan& plan, const std::vector<CellSummary>& cells);

/// A line for each cell, at most so many; the rest is counted. Warns where the replications do not vary.
std::string study_table(const Study& study, const Plan& plan, const std::vector<CellSummary>& cells,
                        std::size_t most);

}  // namespace specmoe
