// The seed's strategy E as it was described: every expert of the next layer has the confidence
//   frequency * f + recency * r + transition * p
// (f: its uses over the most of the layer; r: exp(-age / horizon), age in passes of the layer; p: share of the tokens at
// the present experts that went on to it), and those above `confidence` are named, the surest first, `n` a token at most.
// n adapts, from top-k: one more after a layer of whose names more than half were right, else one less, 1 to `most`. One
// layer ahead only. No source but the seed: weights .3, .3, .4, horizon 10, 12 names (corrected_comparative_evaluation.py
// 549-596), threshold .5 (strategy E's configuration).
//
// What the seed ran as E on Switch was its coin of known outcome (see multi_look_ahead.cpp) with a better overlap factor;
// its keys for adaptive size and popularity were read by no code.
#include <cmath>

#include "sim/policies/predictor.hpp"
#include "sim/policies/predictor/ranking.hpp"
#include "sim/policies/transitions.hpp"

namespace specmoe {
namespace {

class Intelligent : public Predictor {
 public:
  explicit Intelligent(const PredictorContext& context)
      : context_(context),
        frequency_(static_cast<float>(context.parameters.number("frequency"))),
        recency_(static_cast<float>(context.parameters.number("recency"))),
        transition_(static_cast<float>(context.parameters.number("transition"))),
        fade_(static_cast<float>(std::exp(-1 / context.parameters.number("horizon")))),
        confidence_(static_cast<float>(context.parameters.number("confidence"))),
        most_(std::max<std::int64_t>(context.parameters.whole("most"), context.top_k)),
        names_(context.top_k),
        transitions_(context.layers, context.experts, 1, 0.05),
        layers_(static_cast<std::size_t>(context.layers)),
        ranking_(context.experts) {
    for (Layer& each : layers_) {
      each.uses.resize(static_cast<std::size_t>(context.experts));
      each.recency.resize(static_cast<std::size_t>(context.experts));
    }
  }

  void observe(const StepRouting& step, int layer) override {
    transitions_.observe(step, layer);
    Layer& here = layers_[static_cast<std::size_t>(layer)];
    for (float& each : here.recency) each *= fade_;
    for (std::int64_t token = 0; token < step.tokens; ++token)
      for (const std::int16_t expert : step.at(token, layer)) {
        if (expert < 0) continue;
        here.recency[static_cast<std::size_t>(expert)] = 1;
        here.most_uses = std::max(here.most_uses, ++here.uses[static_cast<std::size_t>(expert)]);
      }
    if (here.named.empty()) return;
    // What was used in this pass has recency 1.
    const auto right = std::count_if(here.named.begin(), here.named.end(), [&](ExpertId id) {
      return here.recency[static_cast<std::size_t>(id.expert)] == 1;
    });
    names_ = std::clamp<std::int64_t>(names_ + (2 * right > std::ssize(here.named) ? 1 : -1), 1, most_);
    here.named.clear();
  }
  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, nullptr, layer, distance);
    if (!target || distance > 1) return;
    Layer& there = layers_[static_cast<std::size_t>(target->layer)];
    scores_.assign(static_cast<std::size_t>(context_.experts), 0);
    transitions_.expect(step, -1, layer, 1, scores_);
    for (std::size_t expert = 0; expert < scores_.size(); ++expert)
      scores_[expert] = frequency_ * there.uses[expert] / std::max(1.0F, there.most_uses) +
                        recency_ * there.recency[expert] + transition_ * scores_[expert];
    ranking_.clear();
    ranking_.name(
        scores_, target->layer, static_cast<std::size_t>(names_ * step.tokens),
        [&](std::size_t, float score) { return score < confidence_; }, out);
    there.named = out;
  }

 private:
  struct Layer {
    std::vector<float> uses, recency;  // [expert]
    float most_uses = 0;
    std::vector<ExpertId> named;  // for its coming pass
  };
  PredictorContext context_;
  float frequency_, recency_, transition_, fade_, confidence_;
  std::int64_t most_, names_;
  Transitions transitions_;
  std::vector<Layer> layers_;
  Ranking ranking_;
  std::vector<float> scores_;
};

}  // namespace

std::unique_ptr<Predictor> make_intelligent(const PredictorContext& context) {
  return std::make_unique<Intelligent>(context);
}

}  // namespace specmoe
