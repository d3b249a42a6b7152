// Naming the experts of the highest values: what predictors share that rank all experts of a layer.
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "models/moe/model.hpp"

namespace specmoe {

/// Names the experts of the highest values, each once.
class Ranking {
 public:
  explicit Ranking(int experts) : named_(static_cast<std::size_t>(experts)) {}

  /// Of no expert yet.
  void clear() { std::fill(named_.begin(), named_.end(), false); }
  /// Appends the experts of the highest values above 0, ties by number, that were not named since clear(): at most
  /// `most`, and none from where enough(how many went before, value) is true.
  template <class Enough>
  void name(std::span<const float> values, int layer, std::size_t most, Enough enough,
            std::vector<ExpertId>& out) {
    order_.clear();
    for (std::size_t expert = 0; expert < values.size(); ++expert)
      if (values[expert] > 0) order_.push_back(static_cast<std::int32_t>(expert));
    const auto value = [&](std::int32_t e) { return values[static_cast<std::size_t>(e)]; };
    const std::size_t count = std::min(most, order_.size());
    std::partial_sort(
        order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(count), order_.end(),
        [&](std::int32_t a, std::int32_t b) { return value(a) != value(b) ? value(a) > value(b) : a < b; });
    for (std::size_t i = 0; i < count; ++i) {
      if (enough(i, value(order_[i]))) return;
      const auto expert = static_cast<std::size_t>(order_[i]);
      if (named_[expert]) continue;
      named_[expert] = true;
      out.push_back({layer, order_[i]});
    }
  }
  void name(std::span<const float> values, int layer, std::size_t most, std::vector<ExpertId>& out) {
    name(
        values, layer, most, [](std::size_t, float) { return false; }, out);
  }

 private:
  std::vector<bool> named_;
  std::vector<std::int32_t> order_;
};

}  // namespace specmoe
