// The router of a coming layer applied to the present hidden state (Eliseev & Mazur, arXiv 2312.17238), at an
// accuracy measured elsewhere: each of a token's true experts is named with that probability and otherwise
// replaced by a wrong one, drawn uniformly. A token names top_k experts, right or wrong, so a misprediction
// costs its transfer. It cannot look into the next step, whose token does not exist yet.
#include "sim/policies/predictor/spoiled.hpp"

namespace specmoe {
namespace {

class Gate : public Predictor {
 public:
  explicit Gate(const PredictorContext& context) : truth_(context, "gate") {}

  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    if (const auto target = look_ahead(step, nullptr, layer, distance))
      truth_.name(step, target->layer, truth_.accuracy(target->layer, distance), 0, out);
  }
  bool runs_router() const override { return true; }

 private:
  SpoiledTruth truth_;
};

}  // namespace

std::unique_ptr<Predictor> make_gate(const PredictorContext& context) {
  return std::make_unique<Gate>(context);
}

}  // namespace specmoe
