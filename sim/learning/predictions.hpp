// What a guesser says of a request, ranked, and the file of it that the simulator's predictor `external` reads
// (sim/policies/predictor/external.cpp).
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/learning/learning_data.hpp"
#include "sim/policies/predictor_network.hpp"

namespace specmoe {

/// Of one request.
struct Predictions {
  std::int64_t rows = 0;
  int layers = 0, ranks = 0;          // distances: kDistances
  std::vector<std::int16_t> experts;  // [row, layer, distance - 1, rank], likeliest first
  std::vector<float> confidence;      // the same shape: their scores

  std::size_t at(std::int64_t row, int layer, int distance) const {
    return static_cast<std::size_t>(((row * layers + layer) * kDistances + distance - 1) * ranks);
  }
  std::span<const std::int16_t> experts_at(std::int64_t row, int layer, int distance) const {
    return std::span(experts).subspan(at(row, layer, distance), static_cast<std::size_t>(ranks));
  }
  std::span<const float> confidence_at(std::int64_t row, int layer, int distance) const {
    return std::span(confidence).subspan(at(row, layer, distance), static_cast<std::size_t>(ranks));
  }
};

/// How many experts are named: min(experts, max(10, 3 top_k)).
int prediction_ranks(int experts, int top_k);

/// Ranks what Guesser::score() gave, ties by lower expert. @throws std::logic_error for NaN or another size.
Predictions rank_scores(const LearningData& data, int request, std::span<const float> scores);

/// Streams request by request. Confidences keep 12 bits of their mantissa, which halves the file. A file that is not
/// finished is removed again. The layout stands at the top of sim/policies/predictor/external.cpp.
class PredictionsWriter {
 public:
  /// @throws InputError if the file cannot be written.
  PredictionsWriter(const std::filesystem::path& file, const LearningData& data,
                    const std::optional<PredictorNetwork>& network = std::nullopt);
  ~PredictionsWriter();
  /// The next request. @throws std::logic_error for another shape.
  void add(const Predictions& predictions);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes these requests as a trace: its request i belongs to the i-th that PredictionsWriter was given.
void write_trace(const LearningData& data, std::span<const int> requests, const std::filesystem::path& file);

}  // namespace specmoe
