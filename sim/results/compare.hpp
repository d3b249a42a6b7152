// Strategies side by side at equal bytes of GPU memory, within a frame: plain LRU, Belady and all experts resident.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/bootstrap.hpp"
#include "sim/results/run.hpp"
#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// A strategy on one platform with one size of cache.
struct ComparedRow {
  std::string platform, strategy;
  /// Rows of one platform and choice of cache sizes have the same number.
  int block = 0;
  /// Of the cache, and of the predictor's network if it has one.
  Bytes capacity;
  /// Of all experts' bytes.
  double share = 0;
  /// Of the frame, not of the scenario.
  bool frame = false;
  /// Why it could not run; then the numbers below mean nothing.
  std::string refused{};
  /// Decoded tokens a second of decoding; that of plain LRU with the same bytes is 1; of accesses in decode; expert
  /// bytes copied into GPU memory a decoded token, in decode. 95 % intervals over batches of requests; NaN where there
  /// was nothing to measure.
  Estimate tokens_per_second{}, gain{}, hit_rate{}, bytes_per_token{};
};

/// What is compared, on which machines, at which sizes of cache.
struct CompareOptions {
  /// Names or files; empty for the scenario's.
  std::vector<std::string> platforms;
  /// Cache sizes as shares of all experts' bytes, (0, 1]; empty for the scenario's own capacities.
  std::vector<double> shares;
  /// Of the scenario's strategies; empty for all.
  std::vector<std::string> strategies;
  /// A folder a platform and share, each with its results.h5.
  RunOptions run;
};

/// Adds the frame for each size of cache among the strategies, where the scenario does not have it itself.
/// @return of each strategy, whether it was added
std::vector<bool> add_frame(Scenario& scenario, std::vector<RefusedStrategy>& refused);

/// @throws InputError for a strategy that the scenario does not have, or what Scenario::load throws
std::vector<ComparedRow> compare_strategies(const std::filesystem::path& scenario,
                                            const CompareOptions& options);

}  // namespace specmoe
