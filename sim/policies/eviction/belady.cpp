// Belady's rule (1966): the expert whose next use is farthest leaves. No policy has fewer misses under demand
// loading of experts of one size; it needs the routing in advance, so it is a bound and not a policy for a
// real engine.
#include <set>
#include <stdexcept>

#include "sim/policies/eviction.hpp"

namespace specmoe {
namespace {

class Belady : public EvictionPolicy {
 public:
  explicit Belady(const EvictionContext& context)
      : context_(context),
        future_(context.future ? *context.future
                               : throw std::logic_error("belady: built without the future")),
        used_(context.all_experts(), 0) {}

  void entered(ExpertId id) override { order_.emplace(next_use(id), id); }
  void used(ExpertId id) override {
    order_.erase({next_use(id), id});
    if (used_[context_.index(id)]++ >= future_[context_.index(id)].size())
      throw std::logic_error("belady: an expert is used more often than its future says");
    order_.emplace(next_use(id), id);
  }
  void left(ExpertId id) override { order_.erase({next_use(id), id}); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    for (auto i = order_.rbegin(); i != order_.rend(); ++i)
      if (may_leave(i->second)) return i->second;
    return std::nullopt;
  }

 private:
  std::uint64_t next_use(ExpertId id) const {
    const std::size_t i = context_.index(id);
    return used_[i] < future_[i].size() ? future_[i][used_[i]] : ~std::uint64_t{0};
  }

  EvictionContext context_;
  const FutureUses& future_;
  std::vector<std::size_t> used_;  // how many of its uses have passed
  std::set<std::pair<std::uint64_t, ExpertId>> order_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_belady(const EvictionContext& context) {
  return std::make_unique<Belady>(context);
}

}  // namespace specmoe
