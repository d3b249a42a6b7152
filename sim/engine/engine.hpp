// The inference engine: a host program against a Machine. Steps, layers, the expert cache and the prefetcher.
#pragma once
#include <algorithm>
#include <optional>
#include <vector>

#include "models/moe/model.hpp"
#include "models/moe/routing/routing.hpp"
#include "sim/engine/expert_cache.hpp"
#include "sim/engine/precision.hpp"
#include "sim/engine/workload.hpp"
#include "sim/machine/machine.hpp"
#include "sim/policies/eviction.hpp"
#include "sim/policies/placement.hpp"
#include "sim/policies/predictor.hpp"
#include "sim/policies/start.hpp"

namespace specmoe {

/// When experts that need no waiting are computed in grouped launches.
enum class Grouping {
  never,
  /// Where the prices say that it is faster. The decisions of two machines are the same only if their prices are.
  faster,
  /// Whenever there are two or more.
  always
};

/// In what pieces an expert is copied. Its kernels start when the whole of it has landed.
struct TransferPieces {
  /// So many pieces of one size, or if positive, pieces of `size`.
  int count = 1;
  Bytes size{};

  /// Of each piece of `expert` bytes but the last, which may be shorter.
  Bytes piece(Bytes expert) const {
    return size > Bytes{0} ? std::min(size, expert) : Bytes{(expert.count + count - 1) / count};
  }
};

/// Experts that wait on a disk come to the GPU by way of host memory, which keeps some of them: all that the GPU holds
/// (inclusive), and as many more as there is room for.
struct HostCacheSettings {
  /// At least the GPU's cache and one expert.
  Bytes capacity;
  const EvictionKind* eviction = nullptr;
};

/// What it costs to compute predictions.
struct PredictorCost {
  /// On a second stream of the GPU, its compute stream, the CPU; or for nothing.
  enum class RunsOn { stream, compute, cpu, free };

  PredictorNetwork network;
  RunsOn runs_on = RunsOn::stream;
  WeightFormat precision = WeightFormat::bf16;

  /// Of GPU memory.
  Bytes memory() const {
    const bool on_gpu = runs_on == RunsOn::stream || runs_on == RunsOn::compute;
    return on_gpu ? weight_bytes(network.parameters, precision) : Bytes{0};
  }
};

/// What an engine is told beside model, machine and routing: a strategy.
struct EngineSettings {
  std::uint64_t seed = 0;
  DeviceId gpu;
  /// Where all routed experts wait: host memory or a disk.
  MemoryId expert_home;
  HostMemory host_memory = HostMemory::pinned;
  /// Bytes of one expert by MoE layer, where a file stores its layers in different formats; empty for the
  /// model's.
  std::vector<Bytes> expert_bytes;
  TransferPieces pieces;
  /// Only where expert_home is a disk.
  std::optional<HostCacheSettings> host_cache;
  /// Where missed experts are computed; none for the GPU. Rules that compare times take them from the prices: the
  /// decisions of two machines are the same only if those are.
  const PlacementKind* placement = nullptr;
  /// The experts of the first so many MoE layers stay in host memory, and the CPU computes them (llama.cpp's
  /// --n-cpu-moe).
  int cpu_layers = 0;
  MissPrecision miss;
  /// What the engine's own program takes on the host beside its calls, an interpreter say: at the start of each step,
  /// and of each MoE layer when its routing is known, before its experts are asked for.
  Seconds step_work, layer_work;
  /// A step's tokens share one load and one kernel an expert.
  bool deduplicate = true;
  Grouping grouped = Grouping::faster;

  Bytes cache_capacity;
  CacheScope cache_scope = CacheScope::global;
  const EvictionKind* eviction = nullptr;
  ParameterValues eviction_parameters;
  /// What the cache starts full of; nullptr for nothing.
  const StartKind* start = nullptr;

  const PredictorKind* predictor = nullptr;
  ParameterValues predictor_parameters;
  /// MoE layers ahead, 1 ..
  int window = 1;
  /// Prefetched bytes a layer visit may issue; none for no limit.
  std::optional<Bytes> prefetch_budget;
  /// And a step.
  std::optional<Bytes> prefetch_step_budget;
  /// What a budget or a full cache keeps from being issued waits in a queue of the engine until its layer is routed,
  /// and is issued piece by piece at the visits of the layers before, the nearest layer first; otherwise it is given
  /// up.
  bool prefetch_queue = false;
  std::vector<std::vector<double>> accuracy;
  int width = 0;
  /// Takes the place of what the predictor itself asks of the device; none to charge that alone.
  std::optional<PredictorCost> predictor_cost;

  /// Accesses counted before the run, for placements and predictors by popularity.
  ExpertCounts popularity;

  /// Whether predictions take time.
  bool charges_predictor() const {
    return predictor_cost && predictor_cost->runs_on != PredictorCost::RunsOn::free &&
           !predictor_cost->network.empty();
  }
  /// Of the GPU's, taken from what strategies without a predictor have for experts.
  Bytes predictor_memory() const { return predictor_cost ? predictor_cost->memory() : Bytes{0}; }
  bool wants_weights() const {
    return miss.any() || (eviction && eviction->wants_weights) || (predictor && predictor->wants_weights);
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
  /// Requested and queued, but not begun when its layer was routed without it.
  std::int64_t dropped = 0;
  /// Of the misses, those that the CPU computed, and those that nobody did: the others were loaded.
  std::int64_t on_cpu = 0, skipped = 0;
  /// Of `routed`, those computed with a low-precision copy, and not at all: both cost quality.
  std::int64_t low_pairs = 0, skipped_pairs = 0;
  /// Look-ups in the host cache; misses are read from the disk.
  std::int64_t host_hits = 0, host_misses = 0;
  /// Expert bytes copied into GPU memory on demand and ahead; read from the disk into the host cache.
  Bytes demand_bytes, prefetch_bytes, disk_bytes;

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
  /// same for every strategy that computes all experts on the GPU and in full; what others do not compute there is
  /// not on their path.
  Seconds critical_path;
  /// Time for which the compute stream, or with pageable memory the host, stood still for an expert's copy or the CPU's
  /// results.
  Seconds expert_wait;
  Counters counters;
  /// Date at which each block that ran had ended, [block]; blocks of the other stack hold the step's start.
  std::vector<Seconds> block_end;
  /// Accesses and hits of each MoE layer, [layer].
  std::vector<std::int64_t> layer_accesses, layer_hits;
  /// As Machine::device_energy at the end.
  std::vector<Joules> device_energy;

  Seconds duration() const { return end - start; }
  Seconds exposed_stall() const { return duration() - critical_path; }
};

/// What each step of a simulated run must hold. No law of a real machine, whose kernels may be faster than their
/// prices. @throws std::logic_error naming the broken law
void check_step_laws(const StepRecord& step);

/// Hears what an engine did.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void step_ended(const StepRecord& step) = 0;
  /// Once, at the end: prefetched experts that were never used, and the most bytes the cache held.
  virtual void run_ended(std::int64_t useless, Bytes cache_peak) = 0;
};

/// Runs the workload on the machine.
/// @throws InputError if the cache cannot hold one expert, the routing is not the model's, or has no gate weights where
/// the settings need them.
void run_engine(Machine& machine, const MoeModel& model, RoutingSource& source, const Workload& workload,
                const EngineSettings& settings, EngineObserver& observer);

}  // namespace specmoe
