// MoE-Infinity's trace matching (arXiv 2401.14361): each sequence goes on as the finished one whose activation matrix is
// most like its own. Names for each sequence the `width` experts that the match used most in the coming layer; the paper
// names all and orders them by share * (1 - layers until then / layers), an order that the engine, which asks layer by
// layer, gives anyway. The collection is learnt online; until a sequence has finished each goes on as it did so far.
#include "sim/policies/activation_matrices.hpp"
#include "sim/policies/predictor.hpp"
#include "sim/policies/predictor/ranking.hpp"

namespace specmoe {
namespace {

class TraceMatch : public Predictor {
 public:
  explicit TraceMatch(const PredictorContext& context)
      : context_(context),
        matrices_(context.layers, context.experts, static_cast<int>(context.parameters.whole("matrices"))),
        ranking_(context.experts) {}

  void observe(const StepRouting& step, int layer) override { matrices_.observe(step, layer); }
  void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, next, layer, distance);
    if (!target) return;
    ranking_.clear();
    for (std::int64_t token = 0; token < target->step->tokens; ++token) {
      const std::int64_t request = target->step->request_of(token);
      if (token > 0 && request == target->step->request_of(token - 1)) continue;
      shares_.assign(static_cast<std::size_t>(context_.experts), 0);
      matrices_.expect(request, target->layer, 1, shares_);
      ranking_.name(shares_, target->layer, context_.names(), out);
    }
  }

 private:
  PredictorContext context_;
  ActivationMatrices matrices_;
  Ranking ranking_;
  std::vector<float> shares_;
};

}  // namespace

std::unique_ptr<Predictor> make_trace_match(const PredictorContext& context) {
  return std::make_unique<TraceMatch>(context);
}

}  // namespace specmoe
