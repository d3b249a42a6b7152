// Experts that the CPU computes: activations go to host memory, results come back.
#pragma once
#include <span>
#include <vector>

#include "sim/engine/expert_kernels.hpp"
#include "sim/engine/host_cache.hpp"

namespace specmoe {

/// One stream of the CPU, on which all its cores compute one expert after another, and a stream each for activations
/// and results. As KTransformers does: one copy of the layer's input to the host, one sum of the results back.
class CpuExperts {
 public:
  /// The platform's first CPU computes.
  CpuExperts(Machine& machine, const MoeModel& model, const EngineSettings& settings);

  /// Kernels of one expert, and copies of the activations of its rows there and back, on idle devices and links.
  Seconds time_of(const ExpertUse& use, int block, const ExpertKernels& kernels);
  Seconds activation_time(std::int64_t rows) const;

  /// Issues a layer's experts. The host must know that the layer's input has been computed.
  /// @param tokens of the step: no more rows than that cross the link
  /// @param fetch called for each before its kernels, with the CPU's stream: the weights' way into host memory
  template <class Fetch, class Fetched>
  void compute(int block, const std::vector<ExpertUse>& uses, std::int64_t tokens,
               const ExpertKernels& kernels, Fetch&& fetch, Fetched&& fetched) {
    const std::int64_t rows = std::min(tokens, ExpertKernels::rows_of(uses));
    send(block, rows);
    for (const ExpertUse& use : uses) {
      if (const Event landed = fetch(use)) machine_.wait(cpu_, landed);
      for (const Kernel& kernel : kernels.one(block, use)) machine_.launch(cpu_, kernel);
      fetched(use, cpu_);
    }
    receive(block, rows, ExpertKernels::rows_of(uses));
  }
  /// When the results of all that was issued since the last call are in GPU memory; nullptr if nothing was.
  Event take_results() { return std::exchange(results_, nullptr); }

 private:
  Bytes activations(std::int64_t rows) const { return Bytes{2} * (rows * hidden_); }  // bf16
  void send(int block, std::int64_t rows);
  void receive(int block, std::int64_t rows, std::int64_t pairs);

  Machine& machine_;
  std::int64_t hidden_;
  DeviceId device_;
  MemoryId gpu_, host_;
  KernelPrices prices_;
  Stream out_, cpu_, in_;
  Event results_;
};

}  // namespace specmoe
