// What guesses the experts of coming layers: the baselines here, the networks elsewhere.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/learning/learning_data.hpp"

namespace specmoe {

/// Distance d, seen from layer l of a row, is layer l + d of the row; past the last layer, l + d - layers of the row
/// after. That row is as far as predictions go: in a model of fewer than kDistances layers some have no target.
struct TargetLayer {
  int layer = 0;  // -1 = none
  bool next_row = false;
};
inline TargetLayer target_layer(int layers, int layer, int distance) {
  const int ahead = layer + distance;
  if (ahead < layers) return {ahead, false};
  return {ahead < 2 * layers ? ahead - layers : -1, true};
}

/// What is judged: learns from requests, and then says how likely experts are in coming layers.
class Guesser {
 public:
  virtual ~Guesser() = default;
  virtual std::string name() const = 0;
  /// Learns. @param validation may choose settings, and nothing else; may be empty.
  virtual void fit(const LearningData& data, std::span<const int> train, std::span<const int> validation) = 0;
  /// @param scores out: [row, layer, distance - 1, expert] of the request, resized: how likely each expert is in the
  /// target layer, when the routing of `layer` in the row has become known; higher is likelier. May depend on the rows
  /// before, and of the row itself on its token id and on layers 0 .. layer: on nothing later.
  virtual void score(const LearningData& data, int request, std::vector<float>& scores) = 0;
  /// Whether the scores are meant as probabilities that the target layer chooses the expert.
  virtual bool gives_probabilities() const { return false; }
};

/// Floats that score() gives.
inline std::size_t score_size(const LearningData& data, int request) {
  return static_cast<std::size_t>(data.requests[static_cast<std::size_t>(request)].rows) *
         static_cast<std::size_t>(data.layers * kDistances * data.experts);
}

/// A row of the table of baselines.
struct BaselineKind {
  std::string_view name;
  std::string_view summary;
  std::string_view source;
  std::unique_ptr<Guesser> (*make)(std::uint64_t seed);
  bool needs_token_ids = false;
};

/// The visible table of baselines/, simplest first.
std::span<const BaselineKind> baseline_kinds();
/// @throws InputError that lists them.
const BaselineKind& baseline_named(const std::string& name);

}  // namespace specmoe
