// Routed experts in GPU memory: who is there, who is on the way, who must not leave.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "models/moe/model.hpp"
#include "sim/base/units.hpp"
#include "sim/policies/eviction.hpp"

namespace specmoe {

/// One pool of bytes for all layers, or an equal share for each.
enum class CacheScope { global, layer };

/// What a cache holds at most, and of what.
struct CacheShape {
  int layers = 0, experts = 0;
  std::vector<Bytes> expert_bytes;  // [layer]
  Bytes capacity;
  CacheScope scope = CacheScope::global;
};

/// A cache of experts by bytes. Residents and experts in flight both count, so a prefetch takes room when it
/// is issued. What it holds depends on the order of calls alone, never on time.
class ExpertCache {
 public:
  ExpertCache(const CacheShape& shape, const EvictionKind& eviction, const EvictionContext& context);

  /// Resident or in flight.
  bool holds(ExpertId id) const { return entry(id).held; }
  /// Bytes of what it holds of an expert: less than its shape's of a low-precision copy.
  Bytes held_bytes(ExpertId id) const { return entry(id).bytes; }
  bool in_flight(ExpertId id) const { return entry(id).in_flight; }
  bool pinned(ExpertId id) const { return entry(id).pins > 0; }

  /// Makes room and lets the expert in, in flight. The experts that left are appended to `evicted`.
  /// @return false, and nothing has changed, if what may leave does not make enough room.
  bool admit(ExpertId id, std::vector<ExpertId>& evicted) { return admit(id, bytes(id), evicted); }
  /// @param size of what is let in; more than it holds of the expert, which stays and grows
  bool admit(ExpertId id, Bytes size, std::vector<ExpertId>& evicted);
  /// It leaves, though nothing comes in its place.
  void remove(ExpertId id);
  /// It was used without coming in: a policy that knows the future must hear of it.
  void pass_by(ExpertId id);
  /// What it holds was put there before the run.
  void started() {
    for (Pool& each : pools_) each.policy->started();
  }
  /// The routing of a layer has become known: tells the eviction policies that it concerns.
  void routed(const StepRouting& step, int layer) { pool({layer, 0}).policy->routed(step, layer); }
  /// A held expert is expected in a coming layer: tells the eviction policy.
  void predicted(ExpertId id) { pool(id).policy->predicted(id); }
  void landed(ExpertId id) { entry(id).in_flight = false; }
  /// It is used now: tells the eviction policy.
  void use(ExpertId id);
  /// A held expert that is pinned does not leave. Pins are counted.
  void pin(ExpertId id);
  void unpin(ExpertId id);

  /// For replays without time: a hit, or a load that ends at once. Not kept if it is larger than the pool.
  /// @return whether it was a hit.
  bool access(ExpertId id);
  /// For replays of engines that look a whole layer up before they load: finds which of `group` are there,
  /// then takes all in, in order. The group itself never leaves: where it is larger than the pool, the cache
  /// holds more than its capacity until the pool's next group has been taken in. @param hits one flag a
  /// member.
  void access_group(std::span<const ExpertId> group, std::vector<bool>& hits);

  std::size_t pools() const { return pools_.size(); }
  Bytes pool_capacity() const { return pools_.front().capacity; }
  Bytes capacity() const { return shape_.capacity; }
  Bytes used() const { return used_; }
  Bytes peak() const { return peak_; }
  std::int64_t evictions() const { return evictions_; }

 private:
  struct Entry {
    bool held = false, in_flight = false;
    int pins = 0;
    Bytes bytes{};
  };
  struct Pool {
    Bytes capacity, used;
    std::unique_ptr<EvictionPolicy> policy;
  };
  Entry& entry(ExpertId id) { return entries_[context_.index(id)]; }
  const Entry& entry(ExpertId id) const { return entries_[context_.index(id)]; }
  Pool& pool(ExpertId id) {
    return pools_[shape_.scope == CacheScope::layer ? static_cast<std::size_t>(id.layer) : 0];
  }
  void let_in(ExpertId id, Bytes size);
  void let_out(ExpertId id);
  Bytes bytes(ExpertId id) const { return shape_.expert_bytes[static_cast<std::size_t>(id.layer)]; }

  CacheShape shape_;
  EvictionContext context_;
  bool needs_future_;
  std::vector<Entry> entries_;
  std::vector<Pool> pools_;
  Bytes used_, peak_;
  std::int64_t evictions_ = 0;
  std::vector<ExpertId> scratch_;
};

}  // namespace specmoe
