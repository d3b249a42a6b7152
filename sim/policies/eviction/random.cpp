// A uniformly random expert among those that may leave: the policy that knows nothing.
#include <utility>

#include "sim/policies/eviction.hpp"

namespace specmoe {
namespace {

class RandomEviction : public EvictionPolicy {
 public:
  explicit RandomEviction(const EvictionContext& context)
      : context_(context), random_(Random::stream(context.seed, "eviction")), place_(context.all_experts()) {}

  void entered(ExpertId id) override {
    place_[context_.index(id)] = held_.size();
    held_.push_back(id);
  }
  void used(ExpertId) override {}
  void left(ExpertId id) override {
    const std::size_t hole = place_[context_.index(id)];
    held_[hole] = held_.back();
    place_[context_.index(held_[hole])] = hole;
    held_.pop_back();
  }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    // Most experts may leave, so a few draws find one; when they do not, draw among those that may.
    std::vector<ExpertId> candidates;
    for (int tries = 0; tries < 16 && !held_.empty(); ++tries) {
      const ExpertId id = held_[random_.below(held_.size())];
      if (may_leave(id)) return id;
    }
    for (const ExpertId id : held_)
      if (may_leave(id)) candidates.push_back(id);
    if (candidates.empty()) return std::nullopt;
    return candidates[random_.below(candidates.size())];
  }

 private:
  EvictionContext context_;
  Random random_;
  std::vector<ExpertId> held_;
  std::vector<std::size_t> place_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_random(const EvictionContext& context) {
  return std::make_unique<RandomEviction>(context);
}

}  // namespace specmoe
