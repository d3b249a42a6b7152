// HOBBIT's cost-aware rule for two precisions (arXiv 2411.01433; as published, MoE-APEX, ASPLOS 2026, equations 3, 4):
// the lowest p leaves, p = C / T, and 1 / D more for experts used in the last pass.
//   C = H + low_cost * L: uses in the current sequences that wanted the expert in high and in low precision
//   T: tokens of these sequences so far
//   D = (layer of the expert - present layer + layers) mod layers + 0.1: layers until its turn
// A use wants high precision if the gate weights of the token's experts before it make up at most `high` of their sum
// (the first always does); HOBBIT's threshold is 0.6, and int4 for float16 costs 0.25. Without weights all uses are
// high. The counts start anew with new sequences. The preprint instead adds up LRU, LFU, H and D with weights that it
// does not print. HOBBIT skips experts beyond 0.9; here they count as low. The precision itself is the engine's.
#include <algorithm>
#include <numeric>

#include "sim/policies/eviction/scores.hpp"

namespace specmoe {
namespace {

class CostAware : public EvictionPolicy {
 public:
  explicit CostAware(const EvictionContext& context)
      : context_(context),
        high_(context.parameters.number("high")),
        low_cost_(context.parameters.number("low-cost")),
        scores_(context),
        used_(static_cast<std::size_t>(context.layers)),
        first_layer_(context.layers) {}

  void routed(const StepRouting& step, int layer) override {
    if (layer <= first_layer_) start_step(step, layer);
    layer_ = layer;
    auto& used = used_[static_cast<std::size_t>(layer)];
    for (const std::int16_t expert : used) scores_.set_group({layer, expert}, false);
    used.clear();
    for (std::int64_t token = 0; token < step.tokens; ++token)
      count(step.at(token, layer), step.weights_at(token, layer));
  }
  void entered(ExpertId id) override { scores_.entered(id); }
  void used(ExpertId id) override { scores_.touch(id); }
  void left(ExpertId id) override { scores_.left(id); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    return scores_.lowest(may_leave, [&](int layer, int in_last_pass, double cost) {
      const double distance = (layer - layer_ + context_.layers) % context_.layers + 0.1;
      return cost / static_cast<double>(std::max<std::int64_t>(1, tokens_)) + in_last_pass / distance;
    });
  }

 private:
  void start_step(const StepRouting& step, int layer) {
    first_layer_ = layer;
    const bool goes_on =
        requests_.empty() || step.requests.empty() ||
        std::find(requests_.begin(), requests_.end(), step.requests.front()) != requests_.end();
    requests_ = step.requests;
    tokens_ += step.tokens;
    if (goes_on) return;
    tokens_ = step.tokens;
    for (int l = 0; l < context_.layers; ++l)
      for (ExpertId id{l, 0}; id.expert < context_.experts; ++id.expert) scores_.set_score(id, 0);
  }
  void count(std::span<const std::int16_t> experts, std::span<const float> weights) {
    const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
    double before = 0;
    for (std::size_t rank = 0; rank < experts.size(); ++rank) {
      if (experts[rank] < 0) continue;
      const ExpertId id{layer_, experts[rank]};
      scores_.set_score(id, scores_.score(id) + (before <= high_ * all ? 1 : low_cost_));
      scores_.set_group(id, true);
      used_[static_cast<std::size_t>(layer_)].push_back(experts[rank]);
      if (!weights.empty()) before += static_cast<double>(weights[rank]);
    }
  }

  EvictionContext context_;
  double high_, low_cost_;
  Scores scores_;                                // C; group 1: used in the last pass
  std::vector<std::vector<std::int16_t>> used_;  // [layer] in the last pass
  std::vector<std::int64_t> requests_;
  std::int64_t tokens_ = 0;
  int layer_ = 0, first_layer_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_cost_aware(const EvictionContext& context) {
  return std::make_unique<CostAware>(context);
}

}  // namespace specmoe
