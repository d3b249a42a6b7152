// What most baselines share.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "sim/learning/guesser.hpp"

namespace specmoe {

/// Calls visit(row) for every row of these requests; row is of the whole recording.
template <class Visit>
void each_row(const LearningData& data, std::span<const int> requests, const Visit& visit) {
  for (const int r : requests) {
    const auto& request = data.requests.at(static_cast<std::size_t>(r));
    for (std::int64_t row = request.first_row; row < request.first_row + request.rows; ++row) visit(row);
  }
}

/// Calls visit(row, layer, distance, target, scores of the experts) for everything that has to be guessed of a request;
/// row is of the request. Scores start at 0.
template <class Visit>
void each_guess(const LearningData& data, int request, std::vector<float>& scores, const Visit& visit) {
  scores.assign(score_size(data, request), 0.0F);
  const auto experts = static_cast<std::size_t>(data.experts);
  std::size_t at = 0;
  for (std::int64_t row = 0; row < data.requests[static_cast<std::size_t>(request)].rows; ++row)
    for (int layer = 0; layer < data.layers; ++layer)
      for (int distance = 1; distance <= kDistances; ++distance, at += experts)
        if (const TargetLayer target = target_layer(data.layers, layer, distance); target.layer >= 0)
          visit(row, layer, distance, target, std::span(scores).subspan(at, experts));
}

/// [layer, expert]: shares of rows that chose each expert.
class Popularity {
 public:
  void fit(const LearningData& data, std::span<const int> requests) {
    experts_ = static_cast<std::size_t>(data.experts);
    shares_.assign(static_cast<std::size_t>(data.layers) * experts_, 0.0F);
    std::vector<double> counts(shares_.size());
    double rows = 0;
    each_row(data, requests, [&](std::int64_t row) {
      ++rows;
      for (int layer = 0; layer < data.layers; ++layer)
        for (const std::int16_t e : data.chosen_at(row, layer))
          if (e >= 0) counts[static_cast<std::size_t>(layer) * experts_ + static_cast<std::size_t>(e)] += 1;
    });
    std::transform(counts.begin(), counts.end(), shares_.begin(),
                   [&](double count) { return static_cast<float>(count / std::max(rows, 1.0)); });
  }
  std::span<const float> of(int layer) const {
    return std::span(shares_).subspan(static_cast<std::size_t>(layer) * experts_, experts_);
  }

 private:
  std::size_t experts_ = 0;
  std::vector<float> shares_;
};

}  // namespace specmoe
