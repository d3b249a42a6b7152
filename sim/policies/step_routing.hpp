// The routing of one step, as policies see it.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "models/moe/model.hpp"

namespace specmoe {

/// A step's routing, whole. What is known of it at a time ends with the layer that policies were told last: one that
/// learns looks no farther; a predictor that stands for one of known accuracy reads the truth here and spoils it.
struct StepRouting {
  int layers = 0, top_k = 0;
  std::int64_t tokens = 0;
  /// First and one past the last MoE layer that the step runs through.
  int first_layer = 0, end_layer = 0;
  std::vector<std::int16_t> experts;  // [token, layer, rank]; -1 = not routed
  /// [token, layer, rank] gate weights as the model applies them; empty where the routing has none, or nobody asked.
  std::vector<float> weights{};
  /// [token] the request that the token belongs to. Tokens of a request are neighbours, in order of position.
  std::vector<std::int64_t> requests{};
  bool prefill = false;
  /// [token] the row of its request that the token is.
  std::vector<std::int64_t> rows{};

  std::span<const std::int16_t> at(std::int64_t token, int layer) const {
    return std::span(experts).subspan(static_cast<std::size_t>((token * layers + layer) * top_k),
                                      static_cast<std::size_t>(top_k));
  }
  /// Empty where there are none.
  std::span<const float> weights_at(std::int64_t token, int layer) const {
    if (weights.empty()) return {};
    return std::span(weights).subspan(static_cast<std::size_t>((token * layers + layer) * top_k),
                                      static_cast<std::size_t>(top_k));
  }
  /// Steps made by hand need not name requests: then all tokens are of one.
  std::int64_t request_of(std::int64_t token) const {
    return requests.empty() ? 0 : requests[static_cast<std::size_t>(token)];
  }
};

}  // namespace specmoe
