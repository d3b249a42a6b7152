#include "sim/engine/precision.hpp"

#include <algorithm>
#include <vector>

namespace specmoe {

// @param before sum of the weights of the token's more important experts
static Precision need_of(const MissPrecision& rules, float weight, double before, double sum) {
  if (weight < rules.skip_below) return Precision::skipped;
  if (!rules.format || before <= rules.full_up_to * sum) return Precision::full;
  return before <= rules.low_up_to * sum ? Precision::low : Precision::skipped;
}

void find_needs(const MissPrecision& rules, const StepRouting& routing, int layer, std::int64_t first_token,
                std::int64_t tokens, std::span<ExpertUse> wave) {
  std::vector<ExpertUse*> use_of;  // [expert]
  for (ExpertUse& use : wave) {
    use.precision = Precision::skipped;
    use_of.resize(std::max(use_of.size(), static_cast<std::size_t>(use.expert) + 1));
    use_of[static_cast<std::size_t>(use.expert)] = &use;
  }
  std::vector<std::size_t> order;
  for (std::int64_t token = first_token; token < first_token + tokens; ++token) {
    const auto experts = routing.at(token, layer);
    const auto weights = routing.weights_at(token, layer);
    order.clear();
    double sum = 0;
    for (std::size_t rank = 0; rank < experts.size(); ++rank)
      if (experts[rank] >= 0) {
        order.push_back(rank);
        sum += weights[rank];
      }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return weights[a] > weights[b]; });
    double before = 0;
    for (const std::size_t rank : order) {
      ExpertUse& use = *use_of[static_cast<std::size_t>(experts[rank])];
      use.precision = std::max(use.precision, need_of(rules, weights[rank], before, sum));
      before += weights[rank];
    }
  }
}

}  // namespace specmoe
