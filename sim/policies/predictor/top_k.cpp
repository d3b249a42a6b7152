// The seed's strategy D, as its Qwen evaluation describes it: the `width` experts of the coming layer that the last
// `history` tokens used most, ties by number.
//
// The seed counted over 10 tokens but added the whole window again at each token, named 32 of 64 experts of one layer that
// stood for all, and moved them at no cost (qwen_comprehensive_evaluation.py:260-278).
#include <algorithm>
#include <deque>

#include "sim/policies/predictor.hpp"

namespace specmoe {
namespace {

class RecentTopK : public Predictor {
 public:
  explicit RecentTopK(const PredictorContext& context)
      : context_(context),
        history_(static_cast<std::size_t>(context.parameters.whole("history"))),
        layers_(static_cast<std::size_t>(context.layers)) {
    for (Layer& each : layers_) each.counts.resize(static_cast<std::size_t>(context.experts));
  }

  void observe(const StepRouting& step, int layer) override {
    Layer& here = layers_[static_cast<std::size_t>(layer)];
    const auto count = [&](std::int16_t expert, int change) {
      if (expert >= 0) here.counts[static_cast<std::size_t>(expert)] += change;
    };
    const std::size_t k = static_cast<std::size_t>(step.top_k);
    const std::int64_t first = std::max<std::int64_t>(0, step.tokens - static_cast<std::int64_t>(history_));
    for (std::int64_t token = first; token < step.tokens; ++token) {
      for (const std::int16_t expert : step.at(token, layer)) {
        here.last.push_back(expert);
        count(expert, 1);
      }
      for (; here.last.size() > history_ * k; here.last.pop_front()) count(here.last.front(), -1);
    }
  }
  void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, next, layer, distance);
    if (!target) return;
    const auto& counts = layers_[static_cast<std::size_t>(target->layer)].counts;
    const auto count = [&](ExpertId id) { return counts[static_cast<std::size_t>(id.expert)]; };
    for (ExpertId id{target->layer, 0}; id.expert < context_.experts; ++id.expert)
      if (count(id) > 0) out.push_back(id);
    const std::size_t named = std::min(context_.names(), out.size());
    std::partial_sort(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(named), out.end(),
                      [&](ExpertId a, ExpertId b) {
                        return count(a) != count(b) ? count(a) > count(b) : a.expert < b.expert;
                      });
    out.resize(named);
  }

 private:
  struct Layer {
    std::deque<std::int16_t> last;  // [token, rank]
    std::vector<int> counts;        // [expert]
  };
  PredictorContext context_;
  std::size_t history_;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Predictor> make_top_k(const PredictorContext& context) {
  return std::make_unique<RecentTopK>(context);
}

}  // namespace specmoe
