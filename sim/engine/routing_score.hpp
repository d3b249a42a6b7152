// How alike two routings are to what caches and predictors see of them: a profile's run beside the recording.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/moe/routing/routing.hpp"

namespace specmoe {

/// What a routing is measured by.
struct RoutingMeasure {
  enum class Kind { hit_rate, overlap, recall, unique, window };
  Kind kind;
  std::string name;  // "LRU hits, 20 % of the experts"
  double value = 0;  // share of 1; of unique and window: distinct experts a layer
};

/// What of a routing is measured.
struct MeasureOptions {
  /// The first requests up to so many decoded tokens, at least one request.
  std::int64_t tokens = 100'000;
  /// Cache capacities, in share of all experts of all layers.
  std::vector<double> capacities = {0.1, 0.2, 0.3, 0.5, 0.7, 0.9};
};

/// Of decoded tokens (prefill rows are left out), in order of requests:
///   LRU, LFU and Belady hits of a global cache kept from request to request, demand loading, a layer at once;
///   overlap: share of a token's experts that the token before used in the same layer;
///   recall of the next layer's experts, learnt on the first half of the requests (of one request: of its tokens) and
///     scored on the second: by a transition table (counts of expert to expert of the next layer, rows normalised,
///     summed over the ranks), and by ridge regression (lambda 10) of a layer's experts on those of the four layers
///     before and of the previous token in the same layer; the top_k best are named;
///   unique: distinct experts a layer of n requests' tokens together, n = 1 .. 64, where there are n requests;
///   window: distinct experts a layer of n consecutive tokens of a request, n = 2 .. 64.
/// Memory: the rows measured. @throws InputError as the source does.
std::vector<RoutingMeasure> measure_routing(RoutingSource& source, const MeasureOptions& options);

/// One measure of a recording beside that of what was generated.
struct ScoreLine {
  RoutingMeasure::Kind kind;
  std::string name;
  double real = 0, generated = 0;
  /// Standard deviation of one generated run of the recording's size, over runs; 0 if there was one run.
  double spread = 0;
  /// Most that the two may differ: 0.02 of hit rates, 0.03 of overlap and recall, 3 % of unique experts. Windows
  /// have no target where batches can be measured.
  double target = 0;
  /// generated - real, of experts divided by real.
  double error() const;
  bool holds() const { return target == 0 || (error() <= target && error() >= -target); }
};

/// Measures the recording, and `runs` generated ones of its size (their mean is compared).
/// @param generate makes the i-th, with requests of the given lengths
std::vector<ScoreLine> score_routing(
    RoutingSource& real, const MeasureOptions& options, int runs,
    const std::function<std::unique_ptr<RoutingSource>(const std::vector<RequestInfo>& lengths, int run)>&
        generate);

}  // namespace specmoe
