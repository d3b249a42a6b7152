#include "sim/engine/expert_cache.hpp"

#include <algorithm>
#include <stdexcept>

namespace specmoe {

ExpertCache::ExpertCache(const CacheShape& shape, const EvictionKind& eviction,
                         const EvictionContext& context)
    : shape_(shape), context_(context), entries_(context.all_experts()) {
  const std::size_t pools = shape.scope == CacheScope::layer ? static_cast<std::size_t>(shape.layers) : 1;
  context_.capacity = {shape.capacity.count / static_cast<std::int64_t>(pools)};
  context_.pool_layers = shape.scope == CacheScope::layer ? 1 : shape.layers;
  context_.expert_bytes = shape_.expert_bytes;  // whose elements stay where they are when the cache moves
  for (std::size_t i = 0; i < pools; ++i) pools_.push_back({context_.capacity, {0}, eviction.make(context_)});
}

bool ExpertCache::admit(ExpertId id, std::vector<ExpertId>& evicted) {
  if (holds(id)) throw std::logic_error("expert cache: an expert that is held is admitted again");
  Pool& home = pool(id);
  const std::size_t before = evicted.size();
  Bytes free = home.capacity - home.used;
  if (bytes(id) > home.capacity) return false;
  const auto may_leave = [&](ExpertId candidate) {
    return !pinned(candidate) && std::find(evicted.begin() + static_cast<std::ptrdiff_t>(before),
                                           evicted.end(), candidate) == evicted.end();
  };
  while (free < bytes(id)) {
    const auto leaver = home.policy->victim(may_leave);
    if (!leaver) {
      evicted.resize(before);
      return false;
    }
    evicted.push_back(*leaver);
    free += bytes(*leaver);
  }
  for (std::size_t i = before; i < evicted.size(); ++i) let_out(evicted[i]);
  let_in(id);
  if (home.used > home.capacity) throw std::logic_error("expert cache: resident + in flight <= capacity");
  return true;
}

void ExpertCache::let_in(ExpertId id) {
  entry(id) = {true, true, 0};
  pool(id).used += bytes(id);
  used_ += bytes(id);
  peak_ = std::max(peak_, used_);
  pool(id).policy->entered(id);
}

void ExpertCache::let_out(ExpertId id) {
  pool(id).policy->left(id);
  entry(id) = {};
  pool(id).used -= bytes(id);
  used_ -= bytes(id);
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
    if (!holds(id)) let_in(id);
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
