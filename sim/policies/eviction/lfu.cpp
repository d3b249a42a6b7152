// Least frequently used; among equals the least recently used leaves. Counts are kept when an expert leaves,
// as in the replays that BigMoeOnEdge publishes (docs/bench-data/2026-07-20-cache-replay, commit 2d4f2b1).
#include <set>
#include <tuple>

#include "sim/policies/eviction.hpp"

namespace specmoe {
namespace {

class Lfu : public EvictionPolicy {
 public:
  explicit Lfu(const EvictionContext& context) : context_(context), keys_(context.all_experts()) {}

  void entered(ExpertId id) override { rank(id, {keys_[context_.index(id)].uses, ++clock_}); }
  void used(ExpertId id) override {
    const Key key = keys_[context_.index(id)];
    order_.erase({key.uses, key.last, id});
    rank(id, {key.uses + 1, ++clock_});
  }
  void left(ExpertId id) override {
    const Key key = keys_[context_.index(id)];
    order_.erase({key.uses, key.last, id});
  }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    for (const auto& [uses, last, id] : order_)
      if (may_leave(id)) return id;
    return std::nullopt;
  }

 private:
  struct Key {
    std::int64_t uses = 0, last = 0;
  };
  void rank(ExpertId id, Key key) {
    keys_[context_.index(id)] = key;
    order_.emplace(key.uses, key.last, id);
  }

  EvictionContext context_;
  std::int64_t clock_ = 0;
  std::vector<Key> keys_;
  std::set<std::tuple<std::int64_t, std::int64_t, ExpertId>> order_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_lfu(const EvictionContext& context) {
  return std::make_unique<Lfu>(context);
}

}  // namespace specmoe
