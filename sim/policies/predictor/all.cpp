// Every expert of the coming layers, by number: what engines do that move whole layers (SE-MoE, DeepSpeed; the
// "prefetch-all" of Pre-gated MoE's comparison).
#include "sim/policies/predictor.hpp"

namespace specmoe {
namespace {

class All : public Predictor {
 public:
  explicit All(const PredictorContext& context) : experts_(context.experts) {}

  void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, next, layer, distance);
    if (!target) return;
    for (int expert = 0; expert < experts_; ++expert) out.push_back({target->layer, expert});
  }

 private:
  int experts_;
};

}  // namespace

std::unique_ptr<Predictor> make_all(const PredictorContext& context) {
  return std::make_unique<All>(context);
}

}  // namespace specmoe
