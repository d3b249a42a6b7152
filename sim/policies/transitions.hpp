// Which experts follow which: learnt from what has been routed.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/policies/step_routing.hpp"

namespace specmoe {

/// For each expert of a layer, the share of its tokens that went on to each expert of a layer after it.
class Transitions {
 public:
  /// Only a step's last tokens are learnt from and looked at: a prompt of thousands teaches no more than these.
  static constexpr std::int64_t kTokens = 64;
  static std::int64_t first_token(const StepRouting& step) {
    return std::max<std::int64_t>(0, step.tokens - kTokens);
  }

  /// @param farthest learnt for 1 .. farthest layers ahead
  /// @param fade weight of a token in its experts' shares once they have had 1 / fade tokens; 0 weighs all alike
  Transitions(int layers, int experts, int farthest, double fade);

  /// The routing of `layer` has become known.
  void observe(const StepRouting& step, int layer);
  /// Adds to out[expert] the probability that a token goes on to the expert of the layer `distance` after `layer`: the
  /// mean over its experts at `layer`, and over the step's last tokens if `token` is -1.
  /// @param distance 1 .. farthest, within the layers
  void expect(const StepRouting& step, std::int64_t token, int layer, int distance,
              std::span<float> out) const;
  int farthest() const { return farthest_; }

 private:
  std::size_t row(int from_layer, int distance, int from) const {
    return (static_cast<std::size_t>(distance - 1) * static_cast<std::size_t>(layers_) +
            static_cast<std::size_t>(from_layer)) *
               static_cast<std::size_t>(experts_) +
           static_cast<std::size_t>(from);
  }

  int layers_, experts_, farthest_;
  double fade_;
  std::vector<float> shares_;             // [distance - 1, layer from, expert from, expert to]
  std::vector<std::int32_t> row_tokens_;  // [distance - 1, layer from, expert from]
};

}  // namespace specmoe
