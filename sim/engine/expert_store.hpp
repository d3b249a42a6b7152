// The engine's experts in GPU memory: demand loads, prefetches, and the events that say when an expert may be
// used.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sim/engine/engine.hpp"

namespace specmoe {

/// Decides what is copied and when the compute stream must wait. All decisions follow from the order of
/// calls, never from time, so that a real and a simulated machine make the same ones. All copies into the
/// cache go through one stream: a later copy into a slot that an earlier one was meant for follows it.
class ExpertStore {
 public:
  ExpertStore(Machine& machine, const MoeModel& model, RoutingSource& source, const Workload& workload,
              const EngineSettings& settings, Stream compute);

  /// The routing of a layer becomes known: tells the eviction policy and the predictor.
  void routed(const StepRouting& step, int layer);
  /// A layer's wave becomes known: pins what is held, starts the loads of what is not. Afterwards ready()
  /// lists the experts that can be computed at once.
  /// @param last no further wave of this layer follows
  void request(int layer, const std::vector<ExpertUse>& wave, bool last, StepRecord& record);
  const std::vector<ExpertUse>& ready() const { return ready_; }
  /// The next expert that the compute stream must wait for; the wait has been queued. None when the wave is
  /// done.
  std::optional<ExpertUse> next_awaited(StepRecord& record);
  /// Their kernels have been launched: their slots may be taken once these have run.
  void computed(std::span<const ExpertUse> uses);
  /// Starts copies of what the predictor expects in the coming layers.
  void prefetch(const StepRouting& step, const StepRouting* next, int layer, StepRecord& record);
  /// The layer has been issued: predictions for it have come true or not, and what they protected may leave.
  void end_layer(int layer);
  /// After the step's last synchronize: what was late, and for how long the compute stream waited.
  void settle(StepRecord& record);
  /// Prefetched experts still unused at the end.
  std::int64_t count_unused() const;

  const ExpertCache& cache() const { return cache_; }
  const Predictor* predictor() const { return predictor_.get(); }

 private:
  struct Slot {
    Event landed;             // set while its copy may be under way
    Event last_use;           // of this layer, so that its successor's copy waits
    bool prefetched = false;  // and not yet used
  };
  struct Wait {
    Event reached, landed;
    bool prefetched;
  };
  ExpertId id(std::int32_t expert) const { return {layer_, expert}; }
  Slot& slot(ExpertId expert) {
    return slots_[static_cast<std::size_t>(expert.layer) * static_cast<std::size_t>(experts_) +
                  static_cast<std::size_t>(expert.expert)];
  }
  Bytes bytes(ExpertId expert) const { return expert_bytes_[static_cast<std::size_t>(expert.layer)]; }
  bool load(ExpertId expert, bool ahead, StepRecord& record);
  void release(int layer);
  void start_full(const EngineSettings& settings, const std::vector<ExpertId>& order);

  Machine& machine_;
  const EngineSettings& settings_;
  int experts_;
  std::vector<Bytes> expert_bytes_;  // [layer]
  std::vector<int> block_of_;        // [layer], for the timeline
  MemoryId gpu_memory_;
  Stream compute_, copies_;
  FutureUses future_;
  ExpertCache cache_;
  std::unique_ptr<Predictor> predictor_;
  std::vector<Slot> slots_;
  int layer_ = 0;
  bool last_wave_ = true;
  std::vector<ExpertUse> ready_;
  std::deque<ExpertUse> awaited_, no_room_;
  std::vector<std::vector<ExpertId>> protected_;  // [layer], pinned until the layer has passed
  std::vector<Wait> waits_;
  std::vector<ExpertId> computed_;  // in this layer, with last_use set
  std::vector<ExpertId> scratch_, predictions_;
};

}  // namespace specmoe
