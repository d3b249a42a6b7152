// The true experts of a coming layer, also of the next step: the bound of all predictors.
#include <algorithm>

#include "sim/policies/predictor.hpp"

namespace specmoe {
namespace {

class Oracle : public Predictor {
 public:
  explicit Oracle(const PredictorContext& context) : named_(static_cast<std::size_t>(context.experts)) {}

  void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, next, layer, distance);
    if (!target) return;
    std::fill(named_.begin(), named_.end(), false);
    for (std::int64_t token = 0; token < target->step->tokens; ++token)
      for (const std::int16_t expert : target->step->at(token, target->layer)) {
        if (expert < 0 || named_[static_cast<std::size_t>(expert)]) continue;
        named_[static_cast<std::size_t>(expert)] = true;
        out.push_back({target->layer, expert});
      }
  }

 private:
  std::vector<bool> named_;
};

}  // namespace

std::unique_ptr<Predictor> make_oracle(const PredictorContext& context) {
  return std::make_unique<Oracle>(context);
}

}  // namespace specmoe
