// Recordings small enough to check by hand, or random ones.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "sim/base/random.hpp"
#include "sim/learning/learning_data.hpp"

namespace specmoe::testing {

inline LearningData empty_data(int layers, int experts, int top_k) {
  LearningData data;
  data.header.layers = data.layers = layers;
  data.header.experts = data.experts = experts;
  data.header.top_k = data.top_k = top_k;
  return data;
}

// A request of decode rows; chosen is [row, layer, rank].
inline void add_request(LearningData& data, const std::vector<std::int16_t>& chosen,
                        const std::string& label = "", std::int64_t prefill_rows = 0) {
  const std::int64_t rows = std::ssize(chosen) / (data.layers * data.top_k);
  data.requests.push_back({data.rows(), rows, prefill_rows, prefill_rows, data.rows(), label});
  data.chosen.insert(data.chosen.end(), chosen.begin(), chosen.end());
  data.header.has_labels = data.header.has_labels || !label.empty();
}

inline void randomise(LearningData& data, std::int64_t row, int layer, Random& random) {
  std::vector<std::int16_t> experts(static_cast<std::size_t>(data.experts));
  for (std::size_t i = 0; i < experts.size(); ++i) experts[i] = static_cast<std::int16_t>(i);
  for (int rank = 0; rank < data.top_k; ++rank) {
    const auto at = static_cast<std::size_t>((row * data.layers + layer) * data.top_k + rank);
    const auto from = static_cast<std::size_t>(rank);
    std::swap(experts[from], experts[from + random.below(experts.size() - from)]);
    data.chosen[at] = random.chance(0.05) ? std::int16_t{-1} : experts[from];
    if (data.has_weights) data.weights[at] = static_cast<float>(random.uniform());
  }
}

inline LearningData random_recording(int layers, int experts, int top_k, int requests, std::int64_t rows,
                                     std::uint64_t seed) {
  LearningData data = empty_data(layers, experts, top_k);
  auto random = Random::stream(seed, "data");
  data.header.has_weights = data.has_weights = true;
  data.header.has_token_ids = data.has_token_ids = true;
  data.vocabulary = 5;
  for (int r = 0; r < requests; ++r)
    add_request(data, std::vector<std::int16_t>(static_cast<std::size_t>(rows * layers * top_k)), "a",
                rows / 3);
  data.weights.resize(data.chosen.size());
  for (std::int64_t row = 0; row < data.rows(); ++row) {
    data.token_ids.push_back(static_cast<std::int32_t>(random.below(5)));
    for (int layer = 0; layer < layers; ++layer) randomise(data, row, layer, random);
  }
  return data;
}

}  // namespace specmoe::testing
