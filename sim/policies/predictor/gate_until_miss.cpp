// HOBBIT's adaptive depth (arXiv 2411.01433, section 3.3): the next layer's gate; if all that it names are held, the
// gate of the layer after, and so on until some named expert is not held. The named are kept from leaving until their
// layer has passed. The routers of all layers up to `window` are run each time, since HOBBIT stacks them in one product
// (here they are launched one by one).
#include "sim/policies/predictor/spoiled.hpp"

namespace specmoe {
namespace {

class GateUntilMiss : public Predictor {
 public:
  explicit GateUntilMiss(const PredictorContext& context) : held_(context.held), truth_(context, "gate") {
    if (!held_) throw std::logic_error("gate-until-miss: built without a cache to look into");
  }

  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    if (distance == 1) missed_ = false;
    const auto target = look_ahead(step, nullptr, layer, distance);
    if (!target || missed_) return;
    truth_.name(step, target->layer, truth_.accuracy(target->layer, distance), 0, out);
    missed_ = !std::all_of(out.begin(), out.end(), held_);
  }
  bool runs_router() const override { return true; }

 private:
  std::function<bool(ExpertId)> held_;
  SpoiledTruth truth_;
  bool missed_ = false;  // among what this layer has named
};

}  // namespace

std::unique_ptr<Predictor> make_gate_until_miss(const PredictorContext& context) {
  return std::make_unique<GateUntilMiss>(context);
}

}  // namespace specmoe
