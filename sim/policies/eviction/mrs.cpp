// HybriMoE's "minus recent score" (arXiv 2504.05897, section IV-D): after each routing of a layer every expert's score
// becomes S = alpha * TopP(s) + (1 - alpha) * S, where TopP keeps the `top` highest routing scores s of the token and
// drops the rest; the lowest S leaves. Traces hold the gate weights of the chosen experts only, so that `top` beyond
// the model's top-k (the paper takes twice that) changes nothing. Of several tokens s is the mean. Without weights each
// chosen expert counts 1 / k, and S is a frequency that fades.
#include <algorithm>

#include "sim/policies/eviction/scores.hpp"

namespace specmoe {
namespace {

class Mrs : public EvictionPolicy {
 public:
  explicit Mrs(const EvictionContext& context)
      : context_(context),
        alpha_(context.parameters.number("alpha")),
        top_(static_cast<std::size_t>(context.parameters.whole("top"))),
        scores_(context) {}

  void routed(const StepRouting& step, int layer) override {
    const auto tokens = static_cast<double>(std::max<std::int64_t>(1, step.tokens));
    for (ExpertId id{layer, 0}; id.expert < context_.experts; ++id.expert)
      scores_.set_score(id, (1 - alpha_) * scores_.score(id));
    for (std::int64_t token = 0; token < step.tokens; ++token) {
      const auto experts = step.at(token, layer);
      const auto weights = step.weights_at(token, layer);  // the highest first
      const std::size_t kept = top_ == 0 ? experts.size() : std::min(top_, experts.size());
      for (std::size_t rank = 0; rank < kept; ++rank) {
        if (experts[rank] < 0) continue;
        const double s = weights.empty() ? 1.0 / step.top_k : static_cast<double>(weights[rank]);
        const ExpertId id{layer, experts[rank]};
        scores_.set_score(id, scores_.score(id) + alpha_ * s / tokens);
      }
    }
  }
  void entered(ExpertId id) override { scores_.entered(id); }
  void used(ExpertId id) override { scores_.touch(id); }
  void left(ExpertId id) override { scores_.left(id); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    return scores_.lowest(may_leave);
  }

 private:
  EvictionContext context_;
  double alpha_;
  std::size_t top_;
  Scores scores_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_mrs(const EvictionContext& context) {
  return std::make_unique<Mrs>(context);
}

}  // namespace specmoe
