// Experts in the order in which they would leave: what policies that rank by a list share.
#pragma once
#include <list>
#include <optional>
#include <stdexcept>
#include <vector>

#include "sim/policies/eviction.hpp"

namespace specmoe {

/// Experts in the order in which they would leave.
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

/// Parts of a pool, each in the order in which its experts would leave it, with their bytes.
class Partitions {
 public:
  Partitions(const EvictionContext& context, std::size_t parts)
      : context_(context), parts_(parts), places_(context.all_experts()) {
    if (context.expert_bytes.empty())
      throw std::logic_error("a policy that divides the pool is built without sizes");
  }

  Bytes used(std::size_t part) const { return parts_[part].used; }
  /// Where an expert is that is held.
  std::size_t part_of(ExpertId id) const { return places_[context_.index(id)].part; }
  void add_last(std::size_t part, ExpertId id) {
    auto& order = parts_[part].order;
    places_[context_.index(id)] = {part, order.insert(order.end(), id)};
    parts_[part].used += bytes(id);
  }
  void remove(ExpertId id) {
    const Place& place = places_[context_.index(id)];
    parts_[place.part].order.erase(place.at);
    parts_[place.part].used -= bytes(id);
  }
  /// To the end of another part, or of its own.
  void move_last(std::size_t part, ExpertId id) {
    Place& place = places_[context_.index(id)];
    auto& order = parts_[part].order;
    order.splice(order.end(), parts_[place.part].order, place.at);
    parts_[place.part].used -= bytes(id);
    parts_[part].used += bytes(id);
    place.part = part;
  }
  std::optional<ExpertId> first(std::size_t part, const std::function<bool(ExpertId)>& may_leave) const {
    for (const ExpertId id : parts_[part].order)
      if (may_leave(id)) return id;
    return std::nullopt;
  }
  /// The one that would leave a part first; there must be one.
  ExpertId oldest(std::size_t part) const { return parts_[part].order.front(); }

 private:
  struct Part {
    std::list<ExpertId> order;
    Bytes used{};
  };
  struct Place {
    std::size_t part = 0;
    std::list<ExpertId>::iterator at{};
  };
  Bytes bytes(ExpertId id) const { return context_.expert_bytes[static_cast<std::size_t>(id.layer)]; }

  EvictionContext context_;
  std::vector<Part> parts_;
  std::vector<Place> places_;
};

}  // namespace specmoe
