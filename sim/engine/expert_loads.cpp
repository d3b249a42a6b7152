#include "sim/engine/expert_loads.hpp"

#include <algorithm>
#include <set>

namespace specmoe {

static EvictionContext eviction_context(const RoutingSource& source, const EngineSettings& settings,
                                        const FutureUses& future) {
  EvictionContext context{source.layers(), source.experts(), settings.seed, &future};
  context.parameters = settings.eviction_parameters;
  return context;
}

ExpertLoads::ExpertLoads(Machine& machine, const MoeModel& model, RoutingSource& source,
                         const Workload& workload, const EngineSettings& settings)
    : machine_(machine),
      settings_(settings),
      experts_(source.experts()),
      expert_bytes_(settings.expert_bytes.empty()
                        ? std::vector<Bytes>(static_cast<std::size_t>(source.layers()), model.expert_bytes())
                        : settings.expert_bytes),
      gpu_memory_(machine.platform()[settings.gpu].memory),
      copy_source_(settings.expert_home),
      copies_(machine, settings.gpu, "expert copies", settings.charges_predictor()),
      sizes_differ_(settings.miss.format || std::set(expert_bytes_.begin(), expert_bytes_.end()).size() > 1),
      future_(settings.eviction->needs_future ? future_uses(model, source, workload, settings.deduplicate)
                                              : FutureUses{}),
      cache_({source.layers(), experts_, expert_bytes_, settings.cache_capacity, settings.cache_scope},
             *settings.eviction, eviction_context(source, settings, future_)),
      slots_(static_cast<std::size_t>(source.layers() * experts_)) {
  for (std::size_t i = 0; i < model.blocks.size(); ++i)
    if (model.blocks[i].moe_layer >= 0) block_of_.push_back(static_cast<int>(i));
  if (settings.host_cache) {
    const Platform& platform = machine.platform();
    copy_source_ = platform[platform.first(Device::Kind::cpu)].memory;
    host_cache_.emplace(machine, source, settings, expert_bytes_, copy_source_, block_of_);
  }
  if (settings.start && settings.start->order)
    start_full(settings,
               settings.start->order({source.layers(), experts_, settings.seed, &settings.popularity}));
}

// Fills the cache before the run, as a loader would; these copies are not timed.
void ExpertLoads::start_full(const EngineSettings& settings, const std::vector<ExpertId>& order) {
  // What fits of the most wanted, let in from the least to the most wanted: the most wanted is the most recent.
  std::vector<Bytes> room(cache_.pools(), cache_.pool_capacity());
  std::vector<ExpertId> chosen;
  for (const ExpertId expert : order) {
    if (expert.layer < settings.cpu_layers) continue;
    Bytes& left =
        room[settings.cache_scope == CacheScope::layer ? static_cast<std::size_t>(expert.layer) : 0];
    if (left < bytes(expert)) continue;
    left -= bytes(expert);
    chosen.push_back(expert);
  }
  for (auto expert = chosen.rbegin(); expert != chosen.rend(); ++expert)
    if (cache_.admit(*expert, scratch_)) {
      cache_.landed(*expert);
      slot(*expert).copied = bytes(*expert);
    }
  cache_.started();
  if (!host_cache_) return;
  // Beside what the GPU holds, the most wanted of the others.
  Bytes rest = settings.host_cache->capacity - cache_.used();
  std::vector<ExpertId> kept;
  for (const ExpertId expert : order) {
    if (!cache_.holds(expert)) {
      if (rest < bytes(expert)) continue;
      rest -= bytes(expert);
    }
    kept.push_back(expert);
  }
  for (auto expert = kept.rbegin(); expert != kept.rend(); ++expert)
    host_cache_->start_with(*expert, cache_.holds(*expert));
  host_cache_->started();
}

bool ExpertLoads::begin(ExpertId expert, Bytes size, bool ahead, StepRecord& record) {
  scratch_.clear();
  if (!cache_.admit(expert, size, scratch_)) return false;
  const CopyFor what = ahead ? CopyFor::ahead : CopyFor::demand;
  const Stream copies = copies_.stream(what);
  // Of other sizes, they may leave room for more than this one.
  const std::optional<CopyFor> next = sizes_differ_ ? std::nullopt : std::optional(what);
  for (const ExpertId leaver : scratch_) let_out(leaver, next, record);
  record.counters.evictions += static_cast<std::int64_t>(scratch_.size());
  if (slot(expert).last_use) machine_.wait(copies, slot(expert).last_use);  // of its low-precision copy
  slot(expert) = {.prefetched = ahead, .copied_for = what};
  if (host_cache_) {
    if (const Event landed = host_cache_->fetch(expert, reader(what), record.counters))
      machine_.wait(copies, landed);
    host_cache_->keep(expert);
  }
  return true;
}

void ExpertLoads::follow(CopyFor next, const Slot& leaver) {
  const Stream copies = copies_.raw(next);
  if (leaver.last_use) machine_.wait(copies, leaver.last_use);
  if (next == leaver.copied_for || !copies_.apart()) return;
  if (leaver.landed) machine_.wait(copies, leaver.landed);
  if (leaver.pieces) machine_.wait(copies, leaver.pieces);
}

void ExpertLoads::let_out(ExpertId expert, std::optional<CopyFor> next, StepRecord& record) {
  Slot& left = slot(expert);
  if (left.prefetched) ++record.counters.useless;
  follow(next.value_or(CopyFor::demand), left);
  if (!next && copies_.apart()) follow(CopyFor::ahead, left);
  // Pieces may still be on their way out of the host's cache.
  if (host_cache_ && left.copied < bytes(expert))
    host_cache_->read(expert, reader(left.copied_for), machine_.record(copies_.raw(left.copied_for)));
  left = {};
  if (host_cache_) host_cache_->release(expert);
  if (on_eviction) on_eviction(expert);
}

Bytes ExpertLoads::next_piece(ExpertId expert) const {
  const Bytes whole = cache_.held_bytes(expert);
  return std::min(settings_.pieces.piece(whole), whole - slot(expert).copied);
}

void ExpertLoads::copy_piece(ExpertId expert, bool ahead, StepRecord& record) {
  const Bytes size = next_piece(expert);
  Slot& target = slot(expert);
  const char* name = ahead ? "prefetch" : is_low(expert) ? "load low" : "load";
  const Seconds before = machine_.now();
  const Stream copies = copies_.more(target.copied_for);
  machine_.copy(copies, copy_source_, gpu_memory_, size, settings_.host_memory,
                {name, block_of_[static_cast<std::size_t>(expert.layer)], expert.expert, target.copied});
  // From pageable memory the call itself takes as long as the copy, and the host cannot launch what comes next.
  if (settings_.host_memory == HostMemory::pageable) record.expert_wait += machine_.now() - before;
  target.copied += size;
  (ahead ? record.counters.prefetch_bytes : record.counters.demand_bytes) += size;
  if (is_partial(expert)) {
    if (copies_.apart()) target.pieces = machine_.record(copies);
    return;
  }
  target.landed = machine_.record(copies);
  target.pieces = nullptr;
  if (host_cache_) host_cache_->read(expert, reader(target.copied_for), target.landed);
}

Seconds ExpertLoads::transfer_time(Bytes size) const {
  const Platform& platform = machine_.platform();
  const Seconds latency =
      platform.direction(platform.route(copy_source_, gpu_memory_), settings_.host_memory).latency;
  const Bytes piece = settings_.pieces.piece(size);
  Seconds sum;
  for (Bytes done; done < size; done += std::min(piece, size - done))
    sum += platform.ideal_copy_time(copy_source_, gpu_memory_, std::min(piece, size - done),
                                    settings_.host_memory) -
           (done > Bytes{0} ? latency : Seconds{0});  // what follows without a pause takes none
  return sum;
}

bool ExpertLoads::load(ExpertId expert, Bytes size, bool ahead, StepRecord& record) {
  if (!begin(expert, size, ahead, record)) return false;
  while (next_piece(expert) > Bytes{0}) copy_piece(expert, ahead, record);
  return true;
}

void ExpertLoads::drop(ExpertId expert, StepRecord& record) {
  cache_.remove(expert);
  let_out(expert, std::nullopt, record);
}

std::int64_t ExpertLoads::count_unused() const {
  return std::count_if(slots_.begin(), slots_.end(), [](const Slot& each) { return each.prefetched; });
}

}  // namespace specmoe
