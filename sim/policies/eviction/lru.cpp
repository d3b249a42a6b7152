// Least recently used: a list from the least to the most recent use.
#include <list>

#include "sim/policies/eviction.hpp"

namespace specmoe {
namespace {

class Lru : public EvictionPolicy {
 public:
  explicit Lru(const EvictionContext& context) : context_(context), place_(context.all_experts()) {}

  void entered(ExpertId id) override { place_[context_.index(id)] = order_.insert(order_.end(), id); }
  void used(ExpertId id) override { order_.splice(order_.end(), order_, place_[context_.index(id)]); }
  void left(ExpertId id) override { order_.erase(place_[context_.index(id)]); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    for (const ExpertId id : order_)
      if (may_leave(id)) return id;
    return std::nullopt;
  }

 private:
  EvictionContext context_;
  std::list<ExpertId> order_;
  std::vector<std::list<ExpertId>::iterator> place_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_lru(const EvictionContext& context) {
  return std::make_unique<Lru>(context);
}

}  // namespace specmoe
