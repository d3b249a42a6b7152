// First in, first out: a list in the order of entry; use does not matter.
#include <list>

#include "sim/policies/eviction.hpp"

namespace specmoe {
namespace {

class Fifo : public EvictionPolicy {
 public:
  explicit Fifo(const EvictionContext& context) : context_(context), place_(context.all_experts()) {}

  void entered(ExpertId id) override { place_[context_.index(id)] = order_.insert(order_.end(), id); }
  void used(ExpertId) override {}
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

std::unique_ptr<EvictionPolicy> make_fifo(const EvictionContext& context) {
  return std::make_unique<Fifo>(context);
}

}  // namespace specmoe
