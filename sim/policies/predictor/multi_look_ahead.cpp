// The seed's strategy C as it was described: a learned predictor that looks several layers ahead and names `width`
// candidates a token, as far as it is confident: it names nothing at a distance where its accuracy is below
// `confidence`. Each true expert is among a token's candidates with the accuracy's probability; all others are wrong and
// cost their transfer. (Top-5 accuracy of the seed's predictor on Switch-Base-128: 0.646.)
//
// The seed's C tossed a coin of 0.4755 for the same layer's next token, knew by its confidence whether it was right, and
// so never moved a wrong expert (run_single_experiment.py:102-133).
#include "sim/policies/predictor/spoiled.hpp"

namespace specmoe {
namespace {

class MultiLookAhead : public Predictor {
 public:
  explicit MultiLookAhead(const PredictorContext& context)
      : truth_(context, "multi-look-ahead"),
        confidence_(context.parameters.number("confidence")),
        more_(std::max(0, context.width - context.top_k)) {}

  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, nullptr, layer, distance);
    if (!target) return;
    const double accuracy = truth_.accuracy(target->layer, distance);
    if (accuracy >= confidence_) truth_.name(step, target->layer, accuracy, more_, out);
  }

 private:
  SpoiledTruth truth_;
  double confidence_;
  int more_;
};

}  // namespace

std::unique_ptr<Predictor> make_multi_look_ahead(const PredictorContext& context) {
  return std::make_unique<MultiLookAhead>(context);
}

}  // namespace specmoe
