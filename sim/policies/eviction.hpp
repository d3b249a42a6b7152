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
#include "sim/base/random.hpp"
#include "sim/base/units.hpp"
#include "sim/policies/parameters.hpp"
#include "sim/policies/step_routing.hpp"

namespace specmoe {

/// The dates, counted in accesses, at which each expert will be used: [layer * experts + expert], ascending.
using FutureUses = std::vector<std::vector<std::uint32_t>>;

/// What a policy may be built from. References live as long as the policy.
struct EvictionContext {
  int layers = 0, experts = 0;
  std::uint64_t seed = 0;
  const FutureUses* future = nullptr;  // only for policies that need it
  /// The pool that the policy rules, for those that divide it: its bytes, how many layers share it, and the bytes of
  /// one expert, [layer].
  Bytes capacity{};
  int pool_layers = 0;
  std::span<const Bytes> expert_bytes{};
  ParameterValues parameters{};

  std::size_t index(ExpertId id) const {
    return static_cast<std::size_t>(id.layer) * static_cast<std::size_t>(experts) +
           static_cast<std::size_t>(id.expert);
  }
  /// A part of the pool.
  Bytes share(double part) const {
    return {static_cast<std::int64_t>(part * static_cast<double>(capacity.count))};
  }
  std::size_t all_experts() const {
    return static_cast<std::size_t>(layers) * static_cast<std::size_t>(experts);
  }
};

/// Ranks the experts of one pool. Has no clock, and counts no bytes but to divide the pool: the cache asks for victims
/// until there is room. Sees nothing of the routing but what has become known, unless it was built with the future.
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;
  /// What is in the cache was put there before the run.
  virtual void started() {}
  /// The routing of `layer` has become known, of no later one; the look-ups of its experts follow. Where each layer has
  /// a pool, its policy hears of its own layer only.
  virtual void routed(const StepRouting&, int /*layer*/) {}
  /// A predictor expects it in a coming layer; it is held.
  virtual void predicted(ExpertId) {}
  /// It entered the cache, on demand or ahead of its use.
  virtual void entered(ExpertId id) = 0;
  /// It is used now. On a miss this follows entered().
  virtual void used(ExpertId id) = 0;
  virtual void left(ExpertId id) = 0;
  /// The expert to leave next among those that may; none if none may. The cache calls left() if it obeys.
  virtual std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) = 0;
};

/// A row of the table of policies.
struct EvictionKind {
  std::string_view name, summary;
  /// Who proposed it.
  std::string_view source;
  std::unique_ptr<EvictionPolicy> (*maker)(const EvictionContext&);
  DeclaredParameters declared{};
  bool needs_future = false;
  /// Gate weights are read for it where the routing has them.
  bool wants_weights = false;

  std::span<const Parameter> parameters() const { return named(declared); }
  /// ParameterValues that the context does not name have their defaults.
  std::unique_ptr<EvictionPolicy> make(EvictionContext context) const {
    context.parameters.complete(parameters());
    return maker(context);
  }
};

/// All policies; what scenarios, error messages and `specmoe list` name.
std::span<const EvictionKind> eviction_kinds();

}  // namespace specmoe
