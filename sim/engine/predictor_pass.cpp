#include "sim/engine/predictor_pass.hpp"

#include <algorithm>

namespace specmoe {

PredictorPass::PredictorPass(Machine& machine, const EngineSettings& settings, Stream compute,
                             std::int64_t top_k)
    : machine_(machine), top_k_(top_k), window_(settings.window) {
  if (!settings.charges_predictor()) return;
  cost_ = &*settings.predictor_cost;
  const Platform& platform = machine.platform();
  const bool on_cpu = cost_->runs_on == PredictorCost::RunsOn::cpu;
  gpu_ = platform[settings.gpu].memory;
  if (!on_cpu && platform[gpu_].kind != Memory::Kind::unified)
    host_ = platform[platform.first(Device::Kind::cpu)].memory;
  answers_ = machine.open_stream(on_cpu ? platform.first(Device::Kind::cpu) : settings.gpu, "predictor");
  kernels_ = cost_->runs_on == PredictorCost::RunsOn::compute ? compute : answers_;
}

void PredictorPass::begin_step(const StepShape& shape, int layers) {
  if (!cost_ || cost_->network.step.empty()) return;
  run(cost_->network.step.kernels(shape, cost_->precision), shape.tokens * layers);
}

void PredictorPass::visit(int block, const StepShape& shape, const Event& routed) {
  if (!cost_ || cost_->network.layer.empty()) return;
  if (cost_->runs_on != PredictorCost::RunsOn::compute) machine_.wait(kernels_, routed);
  run(cost_->network.layer.kernels(shape, cost_->precision, block), shape.tokens * window_);
}

void PredictorPass::run(const std::vector<Kernel>& kernels, std::int64_t answers) {
  for (const Kernel& kernel : kernels) machine_.launch(kernels_, kernel);
  if (kernels_.index != answers_.index) machine_.wait(answers_, machine_.record(kernels_));
  if (host_.index >= 0) {
    constexpr std::int64_t kAnswerBytes = 4 + 4;  // expert id and confidence
    machine_.copy(answers_, gpu_, host_, {answers * top_k_ * kAnswerBytes}, HostMemory::pinned,
                  {"predictions", kernels.front().layer, -1});
  }
  answer_ = machine_.record(answers_);
}

}  // namespace specmoe
