// Transition tables: the experts that tokens at the present ones went on to most, by what has been routed so far (the
// expert-to-expert affinity of ExFlow, arXiv 2401.08383, learnt online). One table for each layer and each distance of 1
// to 3 layers; farther, and in the next step, it names nothing. A token names its `width` likeliest experts; of a prompt's
// chunk only the last 64 tokens teach and name. `fade` forgets: 0 weighs all tokens alike.
#include "sim/policies/predictor.hpp"
#include "sim/policies/predictor/ranking.hpp"
#include "sim/policies/transitions.hpp"

namespace specmoe {
namespace {

class Transition : public Predictor {
 public:
  explicit Transition(const PredictorContext& context)
      : context_(context),
        transitions_(context.layers, context.experts, std::min(3, std::max(1, context.window)),
                     context.parameters.number("fade")),
        ranking_(context.experts) {}

  void observe(const StepRouting& step, int layer) override { transitions_.observe(step, layer); }
  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, nullptr, layer, distance);
    if (!target || distance > transitions_.farthest()) return;
    ranking_.clear();
    for (std::int64_t token = Transitions::first_token(step); token < step.tokens; ++token) {
      expected_.assign(static_cast<std::size_t>(context_.experts), 0);
      transitions_.expect(step, token, layer, distance, expected_);
      ranking_.name(expected_, target->layer, context_.names(), out);
    }
  }

 private:
  PredictorContext context_;
  Transitions transitions_;
  Ranking ranking_;
  std::vector<float> expected_;
};

}  // namespace

std::unique_ptr<Predictor> make_transition(const PredictorContext& context) {
  return std::make_unique<Transition>(context);
}

}  // namespace specmoe
