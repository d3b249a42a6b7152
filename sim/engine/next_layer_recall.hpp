// How well simple predictors name a layer's experts from those of the layers before.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "models/moe/routing/routing.hpp"

namespace specmoe {

/// Decoded rows in memory.
struct DecodedRows {
  int layers = 0, experts = 0, top_k = 0;
  std::vector<std::vector<std::int16_t>> requests;  // [request] -> [row, layer, rank]

  std::int64_t count(const std::vector<std::int16_t>& request) const {
    return std::ssize(request) / (std::int64_t{layers} * top_k);
  }
  std::span<const std::int16_t> chosen(const std::vector<std::int16_t>& request, std::int64_t row,
                                       int layer) const {
    return std::span(request).subspan(static_cast<std::size_t>((row * layers + layer) * top_k),
                                      static_cast<std::size_t>(top_k));
  }
};

DecodedRows read_decoded(RoutingSource& source);

/// Mean share of the experts of layers 1 .. that are among the top_k named by each predictor, as measure_routing()
/// (routing_score.hpp) describes them.
double transition_recall(const DecodedRows& rows);
double ridge_recall(const DecodedRows& rows);

}  // namespace specmoe
