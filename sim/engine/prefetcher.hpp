// What is copied ahead: the predictor's experts, at once or from a queue, within the budgets.
#pragma once
#include <memory>
#include <vector>

#include "sim/engine/expert_loads.hpp"

namespace specmoe {

/// Issues at layer visits alone and never by the clock. Demand loads are issued before; what still waits when its
/// layer is routed is not issued ahead any more.
class Prefetcher {
 public:
  Prefetcher(const RoutingSource& source, const EngineSettings& settings, ExpertLoads& loads);

  /// A layer's experts are known, before any of them is requested. Of the queue: the rest of what was begun and is
  /// wanted is copied now, what was begun and is not wanted leaves, and the others are taken off: those that are not
  /// wanted count as dropped.
  void begin_layer(int layer, const std::vector<std::vector<ExpertUse>>& waves, StepRecord& record);
  void begin_step() { step_issued_ = {}; }
  /// The routing of a layer has become known.
  void routed(const StepRouting& step, int layer) {
    if (predictor_) predictor_->observe(step, layer);
  }
  /// Starts copies of what the predictor expects in the coming layers.
  void prefetch(const StepRouting& step, const StepRouting* next, int layer, StepRecord& record);
  /// What is expected in a layer may leave.
  void release(int layer);
  void release_all();

  const Predictor* predictor() const { return predictor_.get(); }

 private:
  bool affords(Bytes bytes) const;
  void hold(ExpertId expert);
  void issue_queue(int layer, StepRecord& record);

  const EngineSettings& settings_;
  ExpertLoads& loads_;
  int experts_;
  std::unique_ptr<Predictor> predictor_;
  std::vector<std::vector<ExpertId>> protected_;  // [layer], pinned until the layer has passed
  std::vector<std::vector<ExpertId>> queue_;  // [layer], first come, first served; some may have been begun
  Bytes visit_issued_, step_issued_;
  std::vector<ExpertId> predictions_;
};

}  // namespace specmoe
