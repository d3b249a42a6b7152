// What a missed expert is worth: its weights in full, a low-precision copy, or nothing, by the gate weights of the
// tokens that want it.
#pragma once
#include <optional>
#include <span>

#include "sim/engine/workload.hpp"

namespace specmoe {

/// In which precision misses are loaded, or that they are done without.
struct MissPrecision {
  /// Of the low-precision copies, which the host keeps beside the experts; none for none.
  std::optional<WeightFormat> format;
  /// HOBBIT's T1 and T2 (arXiv 2411.01433, 3.2, equation 2; 0.6 and 0.9 there for Mixtral-8x7B). A token's
  /// experts, sorted by gate weight, have the unimportance s_0 = 0, s_i = the sum of the weights before: s <= T1 is
  /// loaded in full, s <= T2 in low precision, others are skipped. Weights count as shares of their sum over the
  /// token's experts, as in the paper.
  double full_up_to = 0.6, low_up_to = 0.9;
  /// A token can do without a missed expert of less gate weight (as the model applies it); 0 for none.
  double skip_below = 0;

  bool any() const { return format || skip_below > 0; }
};

/// Sets ExpertUse::precision of a wave: what the most demanding of its tokens needs of each expert.
/// @param first_token, tokens those of the step that the wave stands for
void find_needs(const MissPrecision& rules, const StepRouting& routing, int layer, std::int64_t first_token,
                std::int64_t tokens, std::span<ExpertUse> wave);

}  // namespace specmoe
