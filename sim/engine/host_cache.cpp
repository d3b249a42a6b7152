#include "sim/engine/host_cache.hpp"

#include <stdexcept>

namespace specmoe {

HostCache::HostCache(Machine& machine, const RoutingSource& source, const EngineSettings& settings,
                     const std::vector<Bytes>& expert_bytes, MemoryId host, const std::vector<int>& block_of)
    : machine_(machine),
      disk_(settings.expert_home),
      host_(host),
      experts_(source.experts()),
      expert_bytes_(expert_bytes),
      block_of_(block_of),
      reads_(machine, settings.gpu, "disk reads", settings.charges_predictor()),
      cache_({source.layers(), experts_, expert_bytes, settings.host_cache->capacity, CacheScope::global},
             *settings.host_cache->eviction, {source.layers(), experts_, settings.seed, nullptr}),
      slots_(static_cast<std::size_t>(source.layers() * experts_)) {}

void HostCache::keep(ExpertId expert) { cache_.pin(expert); }

Event HostCache::fetch(ExpertId expert, HostReader reader, Counters& counters) {
  if (cache_.holds(expert)) {
    ++counters.host_hits;
  } else {
    ++counters.host_misses;
    const Bytes bytes = expert_bytes_[static_cast<std::size_t>(expert.layer)];
    evicted_.clear();
    if (!cache_.admit(expert, evicted_))
      throw std::logic_error("host cache: smaller than the GPU's cache and one expert");
    const Stream reads = reads_.stream(reader == HostReader::ahead ? CopyFor::ahead : CopyFor::demand);
    for (const ExpertId leaver : evicted_) {
      for (const Event& last : slot(leaver).last_read)
        if (last) machine_.wait(reads, last);
      slot(leaver) = {};
    }
    machine_.copy(reads, disk_, host_, bytes, HostMemory::pinned,
                  {"read", block_of_[static_cast<std::size_t>(expert.layer)], expert.expert});
    const Event landed = machine_.record(reads);
    slot(expert) = {{landed, landed, landed}, {}};
    counters.disk_bytes += bytes;
  }
  cache_.landed(expert);
  cache_.use(expert);
  return std::exchange(slot(expert).landed[index(reader)], nullptr);  // later work of its stream is past it
}

bool HostCache::start_with(ExpertId expert, bool on_gpu) {
  evicted_.clear();
  if (cache_.used() + expert_bytes_[static_cast<std::size_t>(expert.layer)] > cache_.capacity()) return false;
  if (!cache_.admit(expert, evicted_)) return false;
  cache_.landed(expert);
  if (on_gpu) cache_.pin(expert);
  return true;
}

}  // namespace specmoe
