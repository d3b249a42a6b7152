// The engine's experts: which are there, which are loaded, which the CPU computes, and the events that say when an
// expert may be used.
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "sim/engine/cpu_experts.hpp"
#include "sim/engine/expert_loads.hpp"
#include "sim/engine/prefetcher.hpp"

namespace specmoe {

/// Decides what is copied and when the compute stream must wait. All decisions follow from the order of
/// calls, never from time, so that a real and a simulated machine make the same ones.
class ExpertStore {
 public:
  ExpertStore(Machine& machine, const MoeModel& model, RoutingSource& source, const Workload& workload,
              const EngineSettings& settings, Stream compute, ExpertKernels& kernels);

  void begin_step(std::int64_t tokens);
  /// The routing of a layer has become known: tells the eviction policy and the predictor.
  void routed(const StepRouting& step, int layer) {
    loads_.cache().routed(step, layer);
    prefetcher_.routed(step, layer);
  }
  /// All waves of a layer have become known.
  void begin_layer(int block, int layer, const std::vector<std::vector<ExpertUse>>& waves,
                   StepRecord& record);
  /// A wave's turn: pins what is held, hands what is not to the CPU or starts its loads. Afterwards ready() lists the
  /// experts that can be computed at once.
  /// @param last no further wave of this layer follows
  void request(const std::vector<ExpertUse>& wave, bool last, StepRecord& record);
  const std::vector<ExpertUse>& ready() const { return ready_; }
  /// The next expert that the compute stream must wait for; the wait has been queued. None when the wave is
  /// done.
  std::optional<ExpertUse> next_awaited(StepRecord& record);
  /// Their kernels have been launched: their slots may be taken once these have run.
  void computed(std::span<const ExpertUse> uses);
  /// @param answer when predictions are known; nullptr for at once
  void prefetch(const StepRouting& step, const StepRouting* next, int layer, const Event& answer,
                StepRecord& record) {
    if (answer) loads_.wait_for(answer);
    prefetcher_.prefetch(step, next, layer, record);
  }
  /// The layer has been issued: the compute stream waits for the CPU's results, predictions for it have come true or
  /// not, and what they protected may leave.
  void end_layer();
  /// After the step's last synchronize: what was late, and for how long the compute stream waited.
  void settle(StepRecord& record);
  /// Prefetched experts still unused at the end.
  std::int64_t count_unused() const { return loads_.count_unused(); }

  const ExpertCache& cache() const { return loads_.cache(); }
  const Predictor* predictor() const { return prefetcher_.predictor(); }

 private:
  struct Wait {
    Event reached, landed;
    bool prefetched;
  };
  ExpertId id(const ExpertUse& use) const { return {layer_, use.expert}; }
  ExpertCache& cached() { return loads_.cache(); }
  ExpertLoads::Slot& slot(const ExpertUse& use) { return loads_.slot(id(use)); }
  Bytes size_of(const ExpertUse& use) const {
    return use.precision == Precision::low ? kernels_.low_bytes(loads_.bytes(id(use)))
                                           : loads_.bytes(id(use));
  }
  bool is_hit(const ExpertUse& use) const;
  void hit(ExpertUse use, StepRecord& record);
  bool load(const ExpertUse& use, StepRecord& record);
  std::vector<bool> compute_on_cpu(StepRecord& record);
  const MissedExpert& price_of(const ExpertUse& use);

  Machine& machine_;
  const EngineSettings& settings_;
  ExpertKernels& kernels_;
  Stream compute_;
  ExpertLoads loads_;
  Prefetcher prefetcher_;
  std::optional<CpuExperts> cpu_;
  PlacementContext placement_context_;
  int block_ = 0, layer_ = 0;
  std::int64_t tokens_ = 0;
  bool last_wave_ = true;
  std::vector<ExpertUse> ready_, misses_;
  std::vector<bool> on_cpu_;                                                   // [miss]
  std::map<std::tuple<Precision, std::int64_t, Bytes>, MissedExpert> prices_;  // by rows and bytes
  std::deque<ExpertUse> awaited_, no_room_;
  std::vector<Wait> waits_;
  std::vector<ExpertId> computed_;  // in this layer, with last_use set
};

}  // namespace specmoe
