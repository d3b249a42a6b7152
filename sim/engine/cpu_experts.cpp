#include "sim/engine/cpu_experts.hpp"

namespace specmoe {

CpuExperts::CpuExperts(Machine& machine, const MoeModel& model, const EngineSettings& settings)
    : machine_(machine),
      hidden_(model.hidden),
      device_(machine.platform().first(Device::Kind::cpu)),
      gpu_(machine.platform()[settings.gpu].memory),
      host_(machine.platform()[device_].memory),
      prices_(machine.platform(), device_),
      out_(machine.open_stream(settings.gpu, "activations")),
      cpu_(machine.open_stream(device_, "experts")),
      in_(machine.open_stream(settings.gpu, "results")) {}

Seconds CpuExperts::time_of(const ExpertUse& use, int block, const ExpertKernels& kernels) {
  Seconds sum;
  for (const Kernel& kernel : kernels.one(block, use)) sum += prices_.time(kernel);
  return sum;
}

Seconds CpuExperts::activation_time(std::int64_t rows) const {
  const Platform& platform = machine_.platform();
  return platform.ideal_copy_time(gpu_, host_, activations(rows)) +
         platform.ideal_copy_time(host_, gpu_, activations(rows));
}

void CpuExperts::send(int block, std::int64_t rows) {
  machine_.copy(out_, gpu_, host_, activations(rows), HostMemory::pinned, {"activations", block, -1});
  machine_.wait(cpu_, machine_.record(out_));
}

void CpuExperts::receive(int block, std::int64_t rows, std::int64_t pairs) {
  // The results of several experts for one token are summed on the CPU.
  if (pairs > rows)
    machine_.launch(cpu_, {Elementwise{rows, hidden_, (pairs + rows - 1) / rows, 1}, "cpu_sum", block});
  machine_.wait(in_, machine_.record(cpu_));
  machine_.copy(in_, host_, gpu_, activations(rows), HostMemory::pinned, {"results", block, -1});
  results_ = machine_.record(in_);
}

}  // namespace specmoe
