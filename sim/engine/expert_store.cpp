#include "sim/engine/expert_store.hpp"

#include <algorithm>
#include <stdexcept>

namespace specmoe {

ExpertStore::ExpertStore(Machine& machine, const MoeModel& model, RoutingSource& source,
                         const Workload& workload, const EngineSettings& settings, Stream compute,
                         ExpertKernels& kernels)
    : machine_(machine),
      settings_(settings),
      kernels_(kernels),
      compute_(compute),
      loads_(machine, model, source, workload, settings),
      prefetcher_(source, settings, loads_) {
  if (settings.cpu_layers == 0 && (!settings.placement || !settings.placement->uses_cpu)) return;
  cpu_.emplace(machine, model, settings);
  const Platform& platform = machine.platform();
  placement_context_.host_memory = platform[platform[platform.first(Device::Kind::cpu)].memory].read;
}

void ExpertStore::begin_step(std::int64_t tokens) {
  tokens_ = tokens;
  prefetcher_.begin_step();
}

void ExpertStore::begin_layer(int block, int layer, const std::vector<std::vector<ExpertUse>>& waves,
                              StepRecord& record) {
  block_ = block;
  layer_ = layer;
  if (settings_.prefetch_queue) prefetcher_.begin_layer(layer, waves, record);
}

// A low-precision copy serves a use that could do with one.
bool ExpertStore::is_hit(const ExpertUse& use) const {
  const ExpertId expert = id(use);
  return loads_.cache().holds(expert) && (use.precision != Precision::full || !loads_.is_low(expert));
}

void ExpertStore::request(const std::vector<ExpertUse>& wave, bool last, StepRecord& record) {
  last_wave_ = last;
  ready_.clear();
  misses_.clear();
  for (const ExpertUse& use : wave)
    if (is_hit(use))
      cached().pin(id(use));
    else if (use.precision != Precision::skipped)
      misses_.push_back(use);
  // Handed over before the loads: those may hold the host up.
  if (cpu_) on_cpu_ = compute_on_cpu(record);

  std::size_t miss = 0;
  std::vector<ExpertUse> loads;
  Counters& counters = record.counters;
  for (const ExpertUse& use : wave) {
    counters.routed += use.rows;
    ++counters.accesses;
    ++record.layer_accesses[static_cast<std::size_t>(layer_)];
    if (is_hit(use)) {
      hit(use, record);
      continue;
    }
    ++counters.misses;
    if (use.precision == Precision::skipped) {
      ++counters.skipped;
      counters.skipped_pairs += use.rows;
      cached().pass_by(id(use));
      continue;
    }
    if (use.precision == Precision::low) counters.low_pairs += use.rows;
    if (cpu_ && on_cpu_[miss++]) {
      ++counters.on_cpu;
      cached().pass_by(id(use));
    } else if (load(use, record)) {
      loads.push_back(use);
    } else {
      no_room_.push_back(use);
    }
  }
  awaited_.insert(awaited_.end(), loads.begin(), loads.end());
}

void ExpertStore::hit(ExpertUse use, StepRecord& record) {
  ++record.counters.hits;
  ++record.layer_hits[static_cast<std::size_t>(layer_)];
  use.precision = loads_.is_low(id(use)) ? Precision::low : Precision::full;
  if (use.precision == Precision::low) record.counters.low_pairs += use.rows;
  cached().use(id(use));
  if (loads_.is_partial(id(use))) loads_.finish(id(use), record);
  if (slot(use).landed)
    awaited_.push_back(use);
  else
    ready_.push_back(use);
}

bool ExpertStore::load(const ExpertUse& use, StepRecord& record) {
  if (!loads_.load(id(use), size_of(use), false, record)) return false;
  cached().pin(id(use));
  cached().use(id(use));
  return true;
}

// Of the wave's misses, which of them the CPU has been given.
std::vector<bool> ExpertStore::compute_on_cpu(StepRecord& record) {
  std::vector<bool> on_cpu(misses_.size(), true);
  if (layer_ >= settings_.cpu_layers) {
    std::vector<MissedExpert> priced;
    for (const ExpertUse& use : misses_) priced.push_back(price_of(use));
    on_cpu = settings_.placement ? settings_.placement->place(priced, placement_context_)
                                 : std::vector<bool>(misses_.size(), false);
  }
  std::vector<ExpertUse> given;
  for (std::size_t i = 0; i < misses_.size(); ++i)
    if (on_cpu[i]) given.push_back(misses_[i]);
  if (given.empty()) return on_cpu;
  HostCache* host = loads_.host_cache();
  cpu_->compute(
      block_, given, tokens_, kernels_,
      [&](const ExpertUse& use) {
        return host ? host->fetch(id(use), HostReader::cpu, record.counters) : nullptr;
      },
      [&](const ExpertUse& use, Stream cpu) {
        if (host) host->read(id(use), HostReader::cpu, machine_.record(cpu));
      });
  return on_cpu;
}

const MissedExpert& ExpertStore::price_of(const ExpertUse& use) {
  const Bytes size = size_of(use);
  const auto [known, added] = prices_.try_emplace({use.precision, use.rows, size});
  if (added)
    known->second = {use.rows,
                     size,
                     loads_.transfer_time(size),
                     kernels_.time_of(kernels_.one(block_, use)),
                     cpu_->time_of(use, block_, kernels_),
                     cpu_->activation_time(use.rows)};
  return known->second;
}

std::optional<ExpertUse> ExpertStore::next_awaited(StepRecord& record) {
  if (awaited_.empty()) {
    if (no_room_.empty()) return std::nullopt;
    const ExpertUse use = no_room_.front();
    no_room_.pop_front();
    if (!load(use, record)) {
      // A demand load goes before what is only expected.
      prefetcher_.release_all();
      if (!load(use, record)) throw std::logic_error("expert store: no room for one expert in an idle cache");
    }
    awaited_.push_back(use);
  }
  const ExpertUse use = awaited_.front();
  awaited_.pop_front();
  ExpertLoads::Slot& wanted = slot(use);
  waits_.push_back({machine_.record(compute_), wanted.landed, wanted.prefetched});
  machine_.wait(compute_, wanted.landed);
  wanted.landed = nullptr;  // the compute stream is past it
  wanted.prefetched = false;
  cached().landed(id(use));
  return use;
}

void ExpertStore::computed(std::span<const ExpertUse> uses) {
  for (const ExpertUse& use : uses) cached().unpin(id(use));
  // Before the next layer's router the host has seen these kernels end. Only a load of this layer could be
  // sooner.
  if (uses.empty() || (no_room_.empty() && last_wave_)) return;
  const Event done = machine_.record(compute_);
  for (const ExpertUse& use : uses) {
    slot(use).last_use = done;
    computed_.push_back(id(use));
  }
}

void ExpertStore::end_layer() {
  if (cpu_)
    if (const Event results = cpu_->take_results()) {
      waits_.push_back({machine_.record(compute_), results, false});
      machine_.wait(compute_, results);
    }
  prefetcher_.release(layer_);
  for (const ExpertId expert : computed_) loads_.slot(expert).last_use = nullptr;
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

}  // namespace specmoe
