// The truth, spoiled to a known accuracy: what predictors share that stand for one measured elsewhere.
#pragma once
#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "sim/policies/predictor.hpp"

namespace specmoe {

/// The true experts, of which some are exchanged for wrong ones.
class SpoiledTruth {
 public:
  /// @param stream names the random stream, of the context's seed
  SpoiledTruth(const PredictorContext& context, std::string_view stream)
      : context_(context),
        random_(Random::stream(context.seed, stream)),
        named_(static_cast<std::size_t>(context.experts)) {
    if (context.accuracy.empty())
      throw std::logic_error("a predictor of known accuracy is built without one");
  }

  /// Of predictions for `layer` from `distance` layers before.
  double accuracy(int layer, int distance) const {
    const auto& curve =
        context_.accuracy[context_.accuracy.size() == 1 ? 0 : static_cast<std::size_t>(layer)];
    return curve[std::min(static_cast<std::size_t>(distance - 1), curve.size() - 1)];
  }

  /// Each of a token's true experts is named with that probability and otherwise replaced by a wrong one, drawn
  /// uniformly; then come `more` wrong ones a token. Appends each expert once, in order of tokens.
  void name(const StepRouting& step, int layer, double accuracy, int more, std::vector<ExpertId>& out) {
    std::fill(named_.begin(), named_.end(), false);
    for (std::int64_t token = 0; token < step.tokens; ++token) {
      const auto truth = step.at(token, layer);
      // Wrong names of this token differ from its true experts and from each other.
      taken_.clear();
      std::copy_if(truth.begin(), truth.end(), std::back_inserter(taken_), [](auto e) { return e >= 0; });
      for (const std::int16_t expert : truth)
        if (expert >= 0)
          append(layer, all_taken() || random_.chance(accuracy) ? expert : wrong_expert(), out);
      for (int i = 0; i < more && !all_taken(); ++i) append(layer, wrong_expert(), out);
    }
  }

 private:
  bool all_taken() const { return taken_.size() >= static_cast<std::size_t>(context_.experts); }
  void append(int layer, std::int16_t expert, std::vector<ExpertId>& out) {
    if (named_[static_cast<std::size_t>(expert)]) return;
    named_[static_cast<std::size_t>(expert)] = true;
    out.push_back({layer, expert});
  }
  std::int16_t wrong_expert() {
    for (;;) {
      const auto expert =
          static_cast<std::int16_t>(random_.below(static_cast<std::uint64_t>(context_.experts)));
      if (std::find(taken_.begin(), taken_.end(), expert) != taken_.end()) continue;
      taken_.push_back(expert);
      return expert;
    }
  }

  PredictorContext context_;
  Random random_;
  std::vector<bool> named_;
  std::vector<std::int16_t> taken_;
};

}  // namespace specmoe
