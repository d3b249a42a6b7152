// Experts in the order in which they would leave: what policies that rank by a list share.
#pragma once
#include <list>
#include <optional>
#include <vector>

#include "sim/policies/eviction.hpp"

namespace specmoe {

class LeavingOrder {
 public:
  explicit LeavingOrder(const EvictionContext& context) : context_(context), place_(context.all_experts()) {}

  void add_last(ExpertId id) { place_[context_.index(id)] = order_.insert(order_.end(), id); }
  void move_last(ExpertId id) { order_.splice(order_.end(), order_, place_[context_.index(id)]); }
  void remove(ExpertId id) { order_.erase(place_[context_.index(id)]); }
  std::optional<ExpertId> first(const std::function<bool(ExpertId)>& may_leave) const {
    for (const ExpertId id : order_)
      if (may_leave(id)) return id;
    return std::nullopt;
  }

 private:
  EvictionContext context_;
  std::list<ExpertId> order_;
  std::vector<std::list<ExpertId>::iterator> place_;
};

}  // namespace specmoe
