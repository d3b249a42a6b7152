// The router of a coming layer applied to the present hidden state (Eliseev & Mazur 2023; HOBBIT), at an
// accuracy measured elsewhere: each of a token's true experts is named with that probability and otherwise
// replaced by a wrong one, drawn uniformly. A token names top_k experts, right or wrong, so a misprediction
// costs its transfer. It cannot look into the next step, whose token does not exist yet.
#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "sim/policies/predictor.hpp"

namespace specmoe {
namespace {

class Gate : public Predictor {
 public:
  explicit Gate(const PredictorContext& context)
      : context_(context),
        random_(Random::stream(context.seed, "gate")),
        named_(static_cast<std::size_t>(context.experts)) {
    if (context.accuracy.empty()) throw std::logic_error("gate: built without an accuracy curve");
  }

  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, nullptr, layer, distance);
    if (!target) return;
    const double accuracy = accuracy_at(target->layer, distance);
    std::fill(named_.begin(), named_.end(), false);
    for (std::int64_t token = 0; token < step.tokens; ++token) {
      const auto truth = step.at(token, target->layer);
      // Wrong names of this token differ from its true experts and from each other.
      taken_.clear();
      std::copy_if(truth.begin(), truth.end(), std::back_inserter(taken_), [](auto e) { return e >= 0; });
      for (const std::int16_t expert : truth) {
        if (expert < 0) continue;
        const bool right =
            random_.chance(accuracy) || taken_.size() >= static_cast<std::size_t>(context_.experts);
        const std::int16_t name = right ? expert : wrong_expert();
        if (named_[static_cast<std::size_t>(name)]) continue;
        named_[static_cast<std::size_t>(name)] = true;
        out.push_back({target->layer, name});
      }
    }
  }
  bool runs_router() const override { return true; }

 private:
  double accuracy_at(int layer, int distance) const {
    const auto& curve =
        context_.accuracy[context_.accuracy.size() == 1 ? 0 : static_cast<std::size_t>(layer)];
    return curve[std::min(static_cast<std::size_t>(distance - 1), curve.size() - 1)];
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

}  // namespace

std::unique_ptr<Predictor> make_gate(const PredictorContext& context) {
  return std::make_unique<Gate>(context);
}

}  // namespace specmoe
