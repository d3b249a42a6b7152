// Static placement, re-placed from each prefill: experts are ranked by how many of the prompt's tokens went to them, and
// the lowest leaves, a guest of a miss before one that the cache started with, then the least recent (DAOP, arXiv
// 2501.10375: experts of a sequence by its prefill; KTransformers' dynamic expert update). Until the first prefill has
// ended all are equal. The prompts of a batch count together.
//
// DAOP and KTransformers copy what they re-place at once, when the prefill ends. Here each new resident comes with its
// first miss, paid as a miss: the copies are the same but for those that would never be used.
#include "sim/policies/eviction/scores.hpp"

namespace specmoe {
namespace {

class StaticPrefill : public EvictionPolicy {
 public:
  explicit StaticPrefill(const EvictionContext& context)
      : context_(context), scores_(context), prompt_(static_cast<std::size_t>(context.layers)) {}

  void started() override { running_ = true; }
  void routed(const StepRouting& step, int layer) override {
    auto& counts = prompt_[static_cast<std::size_t>(layer)];
    if (step.prefill) {
      counts.resize(static_cast<std::size_t>(context_.experts));
      for (std::int64_t token = 0; token < step.tokens; ++token)
        for (const std::int16_t expert : step.at(token, layer))
          if (expert >= 0) ++counts[static_cast<std::size_t>(expert)];
    } else if (!counts.empty()) {
      for (ExpertId id{layer, 0}; id.expert < context_.experts; ++id.expert)
        scores_.set_score(id, static_cast<double>(counts[static_cast<std::size_t>(id.expert)]));
      counts.clear();
    }
  }
  void entered(ExpertId id) override {
    scores_.set_group(id, running_);
    scores_.entered(id);
  }
  void used(ExpertId id) override { scores_.touch(id); }
  void left(ExpertId id) override { scores_.left(id); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    return scores_.lowest(may_leave, [](int, int guest, double count) { return count - 0.5 * guest; });
  }

 private:
  EvictionContext context_;
  bool running_ = false;
  Scores scores_;  // tokens of the last prompts; group 1: guests
  std::vector<std::vector<std::int64_t>>
      prompt_;  // [layer][expert], of a prefill that goes on; empty in decode
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_static_prefill(const EvictionContext& context) {
  return std::make_unique<StaticPrefill>(context);
}

}  // namespace specmoe
