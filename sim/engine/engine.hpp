// The inference engine: a host program against a Machine. Steps, layers, the expert cache and the prefetcher.
#pragma once
#include <optional>
#include <vector>

#include "models/moe/model.hpp"
#include "models/moe/routing/routing.hpp"
#include "sim/engine/expert_cache.hpp"
#include "sim/engine/workload.hpp"
#include "sim/machine/machine.hpp"
#include "sim/policies/eviction.hpp"
#include "sim/policies/placement.hpp"
#include "sim/policies/predictor.hpp"

namespace specmoe {

/// When experts that need no waiting are computed in grouped launches.
enum class Grouping {
  never,
  /// Where the prices say that it is faster. The decisions of two machines are the same only if their prices are.
  faster,
  /// Whenever there are two or more.
  always
};

struct EngineSettings {
  std::uint64_t seed = 0;
  DeviceId gpu;
  /// Where all routed experts wait: host memory or a disk.
  MemoryId expert_home;
  HostMemory host_memory = HostMemory::pinned;
  /// Bytes of one expert by MoE layer, where a file stores its layers in different formats; empty for the
  /// model's.
  std::vector<Bytes> expert_bytes;
  /// A step's tokens share one load and one kernel an expert.
  bool deduplicate = true;
  Grouping grouped = Grouping::faster;

  Bytes cache_capacity;
  CacheScope cache_scope = CacheScope::global;
  const EvictionKind* eviction = nullptr;
  ParameterValues eviction_parameters;
  /// What the cache starts full of; nullptr for nothing.
  const PlacementKind* start = nullptr;

  const PredictorKind* predictor = nullptr;
  ParameterValues predictor_parameters;
  /// MoE layers ahead, 1 ..
  int window = 1;
  /// Prefetched bytes a layer visit may issue; none for no limit.
  std::optional<Bytes> prefetch_budget;
  std::vector<std::vector<double>> accuracy;
  int width = 0;

  /// Accesses counted before the run, for placements and predictors by popularity.
  ExpertCounts popularity;

  bool wants_weights() const {
    return (eviction && eviction->wants_weights) || (predictor && predictor->wants_weights);
  }
};

/// Counts of a step, a run or a layer.
struct Counters {
  /// (token, expert) pairs; accesses after deduplication; accesses = hits + misses.
  std::int64_t routed = 0, accesses = 0, hits = 0, misses = 0;
  /// Predicted and not held; of these, copies started; of these, used without waiting, waited for, never
  /// used.
  std::int64_t requested = 0, issued = 0, useful = 0, late = 0, useless = 0;
  std::int64_t evictions = 0;
  /// Expert bytes copied into GPU memory on demand and ahead.
  Bytes demand_bytes, prefetch_bytes;

  Counters& operator+=(const Counters& other);
};

/// One step as the host saw it.
struct StepRecord {
  bool prefill = false;
  std::int64_t sequences = 0, tokens = 0;
  /// Requests whose first token the step makes: its prompts that end. 0 in decode and for encoders.
  std::int64_t first_tokens = 0;
  Seconds start, end;
  /// The longest path through the step's layer graphs with every expert resident: no copies, no host, no predictor. The
  /// same for every strategy.
  Seconds critical_path;
  /// Time for which the compute stream, or with pageable memory the host, stood still for an expert's copy.
  Seconds expert_wait;
  Counters counters;
  /// Date at which each block that ran had ended, [block]; blocks of the other stack hold the step's start.
  std::vector<Seconds> block_end;
  /// Accesses and hits of each MoE layer, [layer].
  std::vector<std::int64_t> layer_accesses, layer_hits;

  Seconds duration() const { return end - start; }
  Seconds exposed_stall() const { return duration() - critical_path; }
};

/// What each step of a simulated run must hold. No law of a real machine, whose kernels may be faster than their
/// prices. @throws std::logic_error naming the broken law
void check_step_laws(const StepRecord& step);

class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void step_ended(const StepRecord& step) = 0;
  /// Once, at the end: prefetched experts that were never used, and the most bytes the cache held.
  virtual void run_ended(std::int64_t useless, Bytes cache_peak) = 0;
};

/// Runs the workload on the machine.
/// @throws InputError if the cache cannot hold one expert, or the routing is not the model's.
void run_engine(Machine& machine, const MoeModel& model, RoutingSource& source, const Workload& workload,
                const EngineSettings& settings, EngineObserver& observer);

}  // namespace specmoe
