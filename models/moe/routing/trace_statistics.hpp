// What routing looks like: popularity, reuse from token to token, and how many experts a batch needs.
#pragma once
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "models/moe/routing/routing.hpp"

namespace specmoe {

/// What a trace's routing looks like.
struct TraceStatistics {
  std::int64_t requests = 0, prompt_tokens = 0, prefill_rows = 0, decode_rows = 0;
  /// Accesses of prefill and decode rows together.
  ExpertCounts counts;
  /// [layer], of the popularity of its experts: 0 if one expert takes all, log2(experts) if all are alike.
  std::vector<double> entropy_bits;
  /// [layer] share of the accesses that go to the ten most used experts.
  std::vector<double> top10_share;
  /// How many experts of a decoded token were also used by the token before it in the same layer and request;
  /// mean over layers and tokens that have a decoded token before them. 0 if there is no such token.
  double decode_overlap = 0;
  /// (n, mean number of distinct experts a layer that n decoded tokens need together), n = 1, 2, 4 .. 64. The
  /// tokens are those at the same place of n requests that follow each other in the source; sizes for which
  /// there are never n such tokens are left out.
  std::vector<std::pair<int, double>> unique_experts;
};

/// Reads the source from front to back, up to 64 requests side by side.
/// @param progress hears now and then of the rows read so far.
TraceStatistics statistics(RoutingSource& source,
                           const std::function<void(std::int64_t rows)>& progress = {});

/// Expected distinct experts of n tokens that each choose k of `experts` uniformly: E (1 - (1 - k/E)^n).
double uniform_unique_experts(int experts, int top_k, int tokens);

}  // namespace specmoe
