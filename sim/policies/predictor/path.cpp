// ExpertFlow's routing path predictor (arXiv 2410.17954): a small transformer that names the experts of all layers from
// the tokens, before the first layer runs. Stands for it at a known accuracy, drawn once a step and layer; what was
// named is not revised as layers pass. Its own cost (7 MB of weights, once a step; ExpertFlow overlaps it with the step
// before) is not charged unless the scenario gives it a network (prefetch.network.step). It is told with the first
// layer's routing here, so that layer itself is not prefetched.
#include "sim/policies/predictor/spoiled.hpp"

namespace specmoe {
namespace {

class Path : public Predictor {
 public:
  explicit Path(const PredictorContext& context)
      : truth_(context, "path"), named_(static_cast<std::size_t>(context.layers)) {}

  void observe(const StepRouting& step, int layer) override {
    if (layer != step.first_layer) return;
    for (int each = layer + 1; each < step.end_layer; ++each) {
      auto& named = named_[static_cast<std::size_t>(each)];
      named.clear();
      truth_.name(step, each, truth_.accuracy(each, each - layer), 0, named);
    }
  }
  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    if (const auto target = look_ahead(step, nullptr, layer, distance))
      for (const ExpertId id : named_[static_cast<std::size_t>(target->layer)]) out.push_back(id);
  }

 private:
  SpoiledTruth truth_;
  std::vector<std::vector<ExpertId>> named_;  // [layer], of this step
};

}  // namespace

std::unique_ptr<Predictor> make_path(const PredictorContext& context) {
  return std::make_unique<Path>(context);
}

}  // namespace specmoe
