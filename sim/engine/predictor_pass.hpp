// The predictor's network: its kernels, and when its answers are there.
#pragma once
#include <optional>

#include "sim/engine/engine.hpp"

namespace specmoe {

/// The first part goes with the embedding, the second starts when a layer's routing is in host memory: on the compute
/// stream, before the layer's experts; on a second stream of the GPU, which shares the device with it; or on a stream of
/// the CPU. A GPU's answers come back in one copy. Nothing is there, and nothing happens, where no time is charged.
class PredictorPass {
 public:
  PredictorPass(Machine& machine, const EngineSettings& settings, Stream compute, std::int64_t top_k);

  void begin_step(const StepShape& shape, int layers);
  /// @param routed the routing of the block's layer is in host memory
  void visit(int block, const StepShape& shape, const Event& routed);
  /// When what is predicted now is known; nullptr for at once.
  const Event& answer() const { return answer_; }

 private:
  void run(const std::vector<Kernel>& kernels, std::int64_t answers);

  Machine& machine_;
  const PredictorCost* cost_ = nullptr;
  std::int64_t top_k_;
  int window_;
  MemoryId gpu_, host_;
  Stream kernels_, answers_;
  Event answer_;
};

}  // namespace specmoe
