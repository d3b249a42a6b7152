// Which expert leaves the cache. A policy is one file in eviction/: a class in an anonymous namespace and one
// make_ function, listed in the table of eviction.cpp.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "models/moe/model.hpp"
#include "models/moe/routing/routing.hpp"
#include "sim/base/random.hpp"

namespace specmoe {

/// The dates, counted in accesses, at which each expert will be used: [layer * experts + expert], ascending.
using FutureUses = std::vector<std::vector<std::uint32_t>>;

/// What a policy may be built from. References live as long as the policy.
struct EvictionContext {
  int layers = 0, experts = 0;
  std::uint64_t seed = 0;
  const FutureUses* future = nullptr;  // only for policies that need it

  std::size_t index(ExpertId id) const {
    return static_cast<std::size_t>(id.layer) * static_cast<std::size_t>(experts) +
           static_cast<std::size_t>(id.expert);
  }
  std::size_t all_experts() const {
    return static_cast<std::size_t>(layers) * static_cast<std::size_t>(experts);
  }
};

/// Ranks the experts of one cache. Has no clock and no bytes: the cache asks for victims until there is room.
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;
  /// What is in the cache was put there before the run.
  virtual void started() {}
  /// It entered the cache, on demand or ahead of its use.
  virtual void entered(ExpertId id) = 0;
  /// It is used now. On a miss this follows entered().
  virtual void used(ExpertId id) = 0;
  virtual void left(ExpertId id) = 0;
  /// The expert to leave next among those that may; none if none may. The cache calls left() if it obeys.
  virtual std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) = 0;
};

struct EvictionKind {
  std::string_view name;
  std::string_view summary;
  bool needs_future;
  std::unique_ptr<EvictionPolicy> (*make)(const EvictionContext&);
};

/// All policies; what scenarios, error messages and `specmoe list` name.
std::span<const EvictionKind> eviction_kinds();

}  // namespace specmoe
