#include "sim/engine/expert_store.hpp"

#include <algorithm>
#include <stdexcept>

#include "sim/base/input_error.hpp"

namespace specmoe {

static EvictionContext eviction_context(const RoutingSource& source, const EngineSettings& settings,
                                        const FutureUses& future) {
  EvictionContext context{source.layers(), source.experts(), settings.seed, &future};
  context.parameters = settings.eviction_parameters;
  return context;
}

ExpertStore::ExpertStore(Machine& machine, const MoeModel& model, RoutingSource& source,
                         const Workload& workload, const EngineSettings& settings, Stream compute)
    : machine_(machine),
      settings_(settings),
      experts_(source.experts()),
      expert_bytes_(settings.expert_bytes.empty()
                        ? std::vector<Bytes>(static_cast<std::size_t>(source.layers()), model.expert_bytes())
                        : settings.expert_bytes),
      gpu_memory_(machine.platform()[settings.gpu].memory),
      compute_(compute),
      copies_(machine.open_stream(settings.gpu, "expert copies")),
      future_(settings.eviction->needs_future ? future_uses(model, source, workload, settings.deduplicate)
                                              : FutureUses{}),
      cache_({source.layers(), experts_, expert_bytes_, settings.cache_capacity, settings.cache_scope},
             *settings.eviction, eviction_context(source, settings, future_)),
      slots_(static_cast<std::size_t>(source.layers() * experts_)),
      protected_(static_cast<std::size_t>(source.layers())) {
  for (std::size_t i = 0; i < model.blocks.size(); ++i)
    if (model.blocks[i].moe_layer >= 0) block_of_.push_back(static_cast<int>(i));
  if (settings.predictor)
    predictor_ = settings.predictor->make(
        {source.layers(), experts_, source.top_k(), settings.seed, &settings.popularity, settings.accuracy,
         settings.width, settings.window, [this](ExpertId expert) { return cache_.holds(expert); },
         settings.predictor_parameters});
  if (settings.start && settings.start->order)
    start_full(settings,
               settings.start->order({source.layers(), experts_, settings.seed, &settings.popularity}));
}

// Fills the cache before the run, as a loader would; these copies are not timed.
void ExpertStore::start_full(const EngineSettings& settings, const std::vector<ExpertId>& order) {
  // What fits of the most wanted, let in from the least to the most wanted: the most wanted is the most recent.
  std::vector<Bytes> room(cache_.pools(), cache_.pool_capacity());
  std::vector<ExpertId> chosen;
  for (const ExpertId expert : order) {
    Bytes& left =
        room[settings.cache_scope == CacheScope::layer ? static_cast<std::size_t>(expert.layer) : 0];
    if (left < bytes(expert)) continue;
    left -= bytes(expert);
    chosen.push_back(expert);
  }
  for (auto expert = chosen.rbegin(); expert != chosen.rend(); ++expert)
    if (cache_.admit(*expert, scratch_)) cache_.landed(*expert);
  cache_.started();
}

// Queues the copy of an expert that is not held. False if there is no room.
bool ExpertStore::load(ExpertId expert, bool ahead, StepRecord& record) {
  scratch_.clear();
  if (!cache_.admit(expert, scratch_)) return false;
  for (const ExpertId leaver : scratch_) {
    Slot& left = slot(leaver);
    if (left.prefetched) ++record.counters.useless;
    if (left.last_use) machine_.wait(copies_, left.last_use);
    left = {};
  }
  record.counters.evictions += static_cast<std::int64_t>(scratch_.size());
  const Seconds before = machine_.now();
  machine_.copy(
      copies_, settings_.expert_home, gpu_memory_, bytes(expert), settings_.host_memory,
      {ahead ? "prefetch" : "load", block_of_[static_cast<std::size_t>(expert.layer)], expert.expert});
  // From pageable memory the call itself takes as long as the copy, and the host cannot launch what comes next.
  if (settings_.host_memory == HostMemory::pageable) record.expert_wait += machine_.now() - before;
  slot(expert) = {machine_.record(copies_), nullptr, ahead};
  (ahead ? record.counters.prefetch_bytes : record.counters.demand_bytes) += bytes(expert);
  return true;
}

void ExpertStore::routed(const StepRouting& step, int layer) {
  cache_.routed(step, layer);
  if (predictor_) predictor_->observe(step, layer);
}

void ExpertStore::request(int layer, const std::vector<ExpertUse>& wave, bool last, StepRecord& record) {
  layer_ = layer;
  last_wave_ = last;
  ready_.clear();
  for (const ExpertUse& use : wave)
    if (cache_.holds(id(use.expert))) cache_.pin(id(use.expert));
  std::vector<ExpertUse> loads;
  for (const ExpertUse& use : wave) {
    record.counters.routed += use.rows;
    ++record.counters.accesses;
    ++record.layer_accesses[static_cast<std::size_t>(layer)];
    if (cache_.holds(id(use.expert))) {
      ++record.counters.hits;
      ++record.layer_hits[static_cast<std::size_t>(layer)];
      cache_.use(id(use.expert));
      if (slot(id(use.expert)).landed)
        awaited_.push_back(use);
      else
        ready_.push_back(use);
      continue;
    }
    ++record.counters.misses;
    if (load(id(use.expert), false, record)) {
      cache_.pin(id(use.expert));
      cache_.use(id(use.expert));
      loads.push_back(use);
    } else {
      no_room_.push_back(use);
    }
  }
  awaited_.insert(awaited_.end(), loads.begin(), loads.end());
}

std::optional<ExpertUse> ExpertStore::next_awaited(StepRecord& record) {
  if (awaited_.empty()) {
    if (no_room_.empty()) return std::nullopt;
    const ExpertUse use = no_room_.front();
    no_room_.pop_front();
    if (!load(id(use.expert), false, record)) {
      // A demand load goes before what is only expected.
      for (int layer = 0; layer < static_cast<int>(protected_.size()); ++layer) release(layer);
      if (!load(id(use.expert), false, record))
        throw std::logic_error("expert store: no room for one expert in an idle cache");
    }
    cache_.pin(id(use.expert));
    cache_.use(id(use.expert));
    awaited_.push_back(use);
  }
  const ExpertUse use = awaited_.front();
  awaited_.pop_front();
  Slot& wanted = slot(id(use.expert));
  waits_.push_back({machine_.record(compute_), wanted.landed, wanted.prefetched});
  machine_.wait(compute_, wanted.landed);
  wanted.landed = nullptr;  // the compute stream is past it
  wanted.prefetched = false;
  cache_.landed(id(use.expert));
  return use;
}

void ExpertStore::computed(std::span<const ExpertUse> uses) {
  for (const ExpertUse& use : uses) cache_.unpin(id(use.expert));
  // Before the next layer's router the host has seen these kernels end. Only a load of this layer could be
  // sooner.
  if (uses.empty() || (no_room_.empty() && last_wave_)) return;
  const Event done = machine_.record(compute_);
  for (const ExpertUse& use : uses) {
    slot(id(use.expert)).last_use = done;
    computed_.push_back(id(use.expert));
  }
}

void ExpertStore::prefetch(const StepRouting& step, const StepRouting* next, int layer, StepRecord& record) {
  if (!predictor_) return;
  Bytes issued;
  for (int distance = 1; distance <= settings_.window; ++distance) {
    predictions_.clear();
    predictor_->predict(step, next, layer, distance, predictions_);
    for (const ExpertId expert : predictions_) {
      if (!cache_.holds(expert)) {
        ++record.counters.requested;
        if (settings_.prefetch_budget && issued + bytes(expert) > *settings_.prefetch_budget) continue;
        if (!load(expert, true, record)) continue;
        ++record.counters.issued;
        issued += bytes(expert);
      }
      cache_.predicted(expert);
      cache_.pin(expert);
      protected_[static_cast<std::size_t>(expert.layer)].push_back(expert);
    }
  }
}

void ExpertStore::release(int layer) {
  for (const ExpertId expert : protected_[static_cast<std::size_t>(layer)]) cache_.unpin(expert);
  protected_[static_cast<std::size_t>(layer)].clear();
}

void ExpertStore::end_layer(int layer) {
  release(layer);
  for (const ExpertId expert : computed_) slot(expert).last_use = nullptr;
  computed_.clear();
}

void ExpertStore::settle(StepRecord& record) {
  for (const Wait& wait : waits_) {
    const Seconds waited = machine_.time_of(wait.landed) - machine_.time_of(wait.reached);
    if (waited.value > 0) record.expert_wait += waited;
    if (wait.prefetched) ++(waited.value > 0 ? record.counters.late : record.counters.useful);
  }
  waits_.clear();
}

std::int64_t ExpertStore::count_unused() const {
  return std::count_if(slots_.begin(), slots_.end(), [](const Slot& each) { return each.prefetched; });
}

}  // namespace specmoe
