// The seed's strategy E as it was described: the lowest
//   frequency * f + recency * r + transition * p
// leaves. f: the expert's uses over the most of any expert of its layer. r: exp(-age / horizon), age in passes of its
// layer since it was used. p: share of the tokens at the present experts of the layer before that went on to it, when
// that layer was routed last; of tokens in the past each weighs 5 % less than the next. No source but the seed: weights
// .3, .3, .4, horizon 10 and decay .95 stand in its corrected_comparative_evaluation.py (549-596).
//
// What the seed ran as E on Switch was an arbitrary set.pop() of a set that grew without bound by prefetch, and on Qwen
// levels that never evicted.
#include <cmath>

#include "sim/policies/eviction/scores.hpp"
#include "sim/policies/transitions.hpp"

namespace specmoe {
namespace {

class Intelligent : public EvictionPolicy {
 public:
  explicit Intelligent(const EvictionContext& context)
      : context_(context),
        frequency_(context.parameters.number("frequency")),
        recency_(context.parameters.number("recency")),
        transition_(context.parameters.number("transition")),
        fade_(std::exp(-1 / context.parameters.number("horizon"))),
        transitions_(context.layers, context.experts, 1, 0.05),
        scores_(context),
        facts_(context.all_experts()),
        most_uses_(static_cast<std::size_t>(context.layers)),
        expected_(static_cast<std::size_t>(context.experts)) {}

  void routed(const StepRouting& step, int layer) override {
    transitions_.observe(step, layer);
    for (ExpertId id{layer, 0}; id.expert < context_.experts; ++id.expert) fact(id).recency *= fade_;
    for (std::int64_t token = 0; token < step.tokens; ++token)
      for (const std::int16_t expert : step.at(token, layer)) {
        if (expert < 0) continue;
        Fact& each = fact({layer, expert});
        each.recency = 1;
        double& most = most_uses_[static_cast<std::size_t>(layer)];
        most = std::max(most, ++each.uses);
      }
    rank(layer);
    if (layer + 1 >= step.end_layer) return;
    std::fill(expected_.begin(), expected_.end(), 0.0F);
    transitions_.expect(step, -1, layer, 1, expected_);
    for (ExpertId id{layer + 1, 0}; id.expert < context_.experts; ++id.expert)
      fact(id).transition = static_cast<double>(expected_[static_cast<std::size_t>(id.expert)]);
    rank(layer + 1);
  }
  void entered(ExpertId id) override { scores_.entered(id); }
  void used(ExpertId id) override { scores_.touch(id); }
  void left(ExpertId id) override { scores_.left(id); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    return scores_.lowest(may_leave);
  }

 private:
  struct Fact {
    double uses = 0, recency = 0, transition = 0;
  };
  Fact& fact(ExpertId id) { return facts_[context_.index(id)]; }
  void rank(int layer) {
    const double most = std::max(1.0, most_uses_[static_cast<std::size_t>(layer)]);
    for (ExpertId id{layer, 0}; id.expert < context_.experts; ++id.expert) {
      const Fact& f = fact(id);
      scores_.set_score(id, frequency_ * f.uses / most + recency_ * f.recency + transition_ * f.transition);
    }
  }

  EvictionContext context_;
  double frequency_, recency_, transition_, fade_;
  Transitions transitions_;
  Scores scores_;
  std::vector<Fact> facts_;
  std::vector<double> most_uses_;  // [layer]
  std::vector<float> expected_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_intelligent(const EvictionContext& context) {
  return std::make_unique<Intelligent>(context);
}

}  // namespace specmoe
