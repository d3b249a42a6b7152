#include "sim/engine/expert_cache.hpp"

#include <algorithm>
#include <stdexcept>

namespace specmoe {

ExpertCache::ExpertCache(const CacheShape& shape, const EvictionKind& eviction,
                         const EvictionContext& context)
    : shape_(shape),
      context_(context),
      needs_future_(eviction.needs_future),
      entries_(context.all_experts()) {
  const std::size_t pools = shape.scope == CacheScope::layer ? static_cast<std::size_t>(shape.layers) : 1;
  context_.capacity = {shape.capacity.count / static_cast<std::int64_t>(pools)};
  context_.pool_layers = shape.scope == CacheScope::layer ? 1 : shape.layers;
  context_.expert_bytes = shape_.expert_bytes;  // whose elements stay where they are when the cache moves
  for (std::size_t i = 0; i < pools; ++i) pools_.push_back({context_.capacity, {0}, eviction.make(context_)});
}

bool ExpertCache::admit(ExpertId id, Bytes size, std::vector<ExpertId>& evicted) {
  if (size <= held_bytes(id))
    throw std::logic_error("expert cache: an expert that is held is admitted again");
  Pool& home = pool(id);
  const std::size_t before = evicted.size();
  Bytes free = home.capacity - home.used + held_bytes(id);
  if (size > home.capacity) return false;
  const auto may_leave = [&](ExpertId candidate) {
    return !pinned(candidate) && candidate != id &&
           std::find(evicted.begin() + static_cast<std::ptrdiff_t>(before), evicted.end(), candidate) ==
               evicted.end();
  };
  while (free < size) {
    const auto leaver = home.policy->victim(may_leave);
    if (!leaver) {
      evicted.resize(before);
      return false;
    }
    evicted.push_back(*leaver);
    free += held_bytes(*leaver);
  }
  for (std::size_t i = before; i < evicted.size(); ++i) let_out(evicted[i]);
  let_in(id, size);
  if (home.used > home.capacity) throw std::logic_error("expert cache: resident + in flight <= capacity");
  return true;
}

void ExpertCache::let_in(ExpertId id, Bytes size) {
  const bool grows = holds(id);
  const Bytes more = size - held_bytes(id);
  entry(id) = {true, true, grows ? entry(id).pins : 0, size};
  pool(id).used += more;
  used_ += more;
  peak_ = std::max(peak_, used_);
  if (!grows) pool(id).policy->entered(id);
}

void ExpertCache::remove(ExpertId id) {
  if (!holds(id) || pinned(id))
    throw std::logic_error("expert cache: an expert that may not leave is removed");
  let_out(id);
  --evictions_;
}

void ExpertCache::pass_by(ExpertId id) {
  if (holds(id)) return use(id);
  if (!needs_future_) return;
  EvictionPolicy& policy = *pool(id).policy;
  policy.entered(id);
  policy.used(id);
  policy.left(id);
}

void ExpertCache::let_out(ExpertId id) {
  pool(id).policy->left(id);
  pool(id).used -= held_bytes(id);
  used_ -= held_bytes(id);
  entry(id) = {};
  ++evictions_;
}

void ExpertCache::use(ExpertId id) {
  if (!holds(id)) throw std::logic_error("expert cache: an expert that is not held is used");
  pool(id).policy->used(id);
}

void ExpertCache::pin(ExpertId id) {
  if (!holds(id)) throw std::logic_error("expert cache: an expert that is not held is pinned");
  ++entry(id).pins;
}

void ExpertCache::unpin(ExpertId id) {
  if (entry(id).pins-- <= 0) throw std::logic_error("expert cache: unpinned more often than pinned");
}

bool ExpertCache::access(ExpertId id) {
  const bool hit = holds(id);
  scratch_.clear();
  if (!hit && !admit(id, scratch_)) return false;
  landed(id);
  use(id);
  return hit;
}

void ExpertCache::access_group(std::span<const ExpertId> group, std::vector<bool>& hits) {
  hits.clear();
  for (const ExpertId id : group) hits.push_back(holds(id));
  for (const ExpertId id : group) {
    if (!holds(id)) let_in(id, bytes(id));
    landed(id);
    use(id);
    pin(id);
  }
  for (const ExpertId id : group) {
    Pool& home = pool(id);
    while (home.used > home.capacity) {
      const auto leaver = home.policy->victim([&](ExpertId candidate) { return !pinned(candidate); });
      if (!leaver) break;
      let_out(*leaver);
    }
  }
  for (const ExpertId id : group) unpin(id);
}

}  // namespace specmoe
