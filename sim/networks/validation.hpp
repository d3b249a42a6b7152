// How well a network does on requests that it is not trained on.
#pragma once
#include <span>
#include <utility>
#include <vector>

#include "sim/networks/batches.hpp"

namespace specmoe {

/// How good a network is on requests that it did not learn from.
struct Validation {
  double loss = 0;  // nats
  /// [distance - 1] share of the true experts among the first top_k, targets of the same token.
  std::vector<double> recall;
  /// [distance - 1] a and b of Checkpoint::calibration.
  std::vector<std::pair<double, double>> calibration;
};
/// @param batch_size pieces at a time.
Validation validate_network(Network& network, const Batches& batches, std::span<const Piece> pieces,
                            std::int64_t batch_size);

}  // namespace specmoe
