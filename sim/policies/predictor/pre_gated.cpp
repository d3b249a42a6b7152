// Pre-gated MoE (Hwang et al., arXiv 2308.12066): the model is trained so that the gate in a block chooses the experts
// of the next block. One layer ahead all is known, exactly and at no cost (the gate runs anyway); farther nothing is,
// and not across steps: the first block has a gate of its own.
//
// The seed's PG-MoE was no pre-gate but counts of which experts followed which, with a queue and three levels, and
// crashed within 13 layer steps.
#include "sim/policies/predictor.hpp"

namespace specmoe {

std::unique_ptr<Predictor> make_oracle(const PredictorContext& context);

namespace {

class PreGated : public Predictor {
 public:
  explicit PreGated(const PredictorContext& context) : gate_(make_oracle(context)) {}

  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    if (distance == 1) gate_->predict(step, nullptr, layer, distance, out);
  }

 private:
  std::unique_ptr<Predictor> gate_;
};

}  // namespace

std::unique_ptr<Predictor> make_pre_gated(const PredictorContext& context) {
  return std::make_unique<PreGated>(context);
}

}  // namespace specmoe
