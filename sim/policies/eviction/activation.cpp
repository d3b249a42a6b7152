// MoE-Infinity's activation-aware rule (arXiv 2401.14361, algorithm 2): the lowest (share + epsilon) * (1 - layer /
// layers) leaves, where share is the part of a sequence's tokens in the layer that go to the expert, by the activation
// matrix that matches the sequence; the factor keeps early layers, which a prefetch can hardly be in time for. Shares of
// a batch are the mean over its sequences. A layer's shares are looked up when its routing becomes known.
#include "sim/policies/activation_matrices.hpp"
#include "sim/policies/eviction/scores.hpp"

namespace specmoe {
namespace {

class Activation : public EvictionPolicy {
 public:
  explicit Activation(const EvictionContext& context)
      : context_(context),
        matrices_(context.layers, context.experts, static_cast<int>(context.parameters.whole("matrices"))),
        scores_(context) {}

  void routed(const StepRouting& step, int layer) override {
    matrices_.observe(step, layer);
    shares_.assign(static_cast<std::size_t>(context_.experts), 0);
    for (std::int64_t token = 0; token < step.tokens; ++token) {
      if (token > 0 && step.request_of(token) == step.request_of(token - 1)) continue;
      matrices_.expect(step.request_of(token), layer, 1, shares_);
    }
    for (ExpertId id{layer, 0}; id.expert < context_.experts; ++id.expert)
      scores_.set_score(id, static_cast<double>(shares_[static_cast<std::size_t>(id.expert)]));
  }
  void entered(ExpertId id) override { scores_.entered(id); }
  void used(ExpertId id) override { scores_.touch(id); }
  void left(ExpertId id) override { scores_.left(id); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    constexpr double kEpsilon = 1e-6;
    return scores_.lowest(may_leave, [&](int layer, int, double share) {
      return (share + kEpsilon) * (1 - static_cast<double>(layer) / context_.layers);
    });
  }

 private:
  EvictionContext context_;
  ActivationMatrices matrices_;
  Scores scores_;
  std::vector<float> shares_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_activation(const EvictionContext& context) {
  return std::make_unique<Activation>(context);
}

}  // namespace specmoe
