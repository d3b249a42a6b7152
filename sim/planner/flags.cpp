#include "sim/planner/flags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace specmoe {

namespace {

const char* gguf_type(WeightFormat format) {
  switch (format) {
    case WeightFormat::fp32:
      return "F32";
    case WeightFormat::bf16:
      return "BF16";
    case WeightFormat::fp8:
    case WeightFormat::int8:
      return "Q8_0";
    case WeightFormat::int4:
      return "Q4_K_M";
    case WeightFormat::mxfp4:
      return "MXFP4";
    case WeightFormat::int3:
      return "Q3_K_M";
    case WeightFormat::int2:
      return "Q2_K";
  }
  return "";
}

// Layers as llama.cpp counts them, dense ones too: those up to the `away`-th with experts.
std::size_t blocks_with(const MoeModel& model, std::int64_t away) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < model.blocks.size(); ++i)
    if (model.blocks[i].moe_layer >= 0 && model.blocks[i].moe_layer < away) count = i + 1;
  return count;
}

EngineFlags llama_cpp(const Question& question, const Setting& setting, const Candidate& candidate) {
  const MoeModel& model = setting.scenario.model;
  std::string command = fmt::format("llama-server -m {}-{}.gguf -c {} -np {} -ngl 99 -ctk f16 -ctv f16",
                                    model.name, gguf_type(setting.precision.experts),
                                    question.context * question.sequences(), question.sequences());
  const std::int64_t layer = (model.expert_bytes() * model.experts).count;
  const std::int64_t away = model.moe_layers - candidate.gpu_experts.count / layer;
  std::string note;
  if (candidate.way == Way::resident) return {"llama.cpp", command, note};
  command += away == model.moe_layers ? std::string(" --cpu-moe")
                                      : fmt::format(" --n-cpu-moe {}", blocks_with(model, away));
  if (candidate.way == Way::from_disk)
    note = "no --mlock, no --no-mmap: the file stays mapped, and the system's page cache is the host cache";
  else if (candidate.way == Way::fetched)
    note =
        "it keeps no cache of experts on the GPU: those of whole layers stay on the CPU, which computes them";
  else if (candidate.cpu_layers == 0)
    note = "it divides experts by layers, not by how popular they are";
  return {"llama.cpp", command, note};
}

EngineFlags ktransformers(const Question& question, const Setting& setting, const Candidate& candidate) {
  const MoeModel& model = setting.scenario.model;
  const char* method = "LLAMAFILE";
  switch (setting.precision.experts) {
    case WeightFormat::bf16:
      method = "BF16";
      break;
    case WeightFormat::fp8:
      method = "FP8";
      break;
    case WeightFormat::int8:
      method = "AMXINT8";
      break;
    case WeightFormat::int4:
      method = "AMXINT4";
      break;
    default:
      break;
  }
  const std::int64_t kept = candidate.gpu_experts.count / (model.expert_bytes().count * model.moe_layers);
  std::string note = method == std::string("LLAMAFILE")
                         ? "its other kernels have no such format: CPU weights as GGUF (a preview)"
                         : "needs a CPU with AVX512, and AMX for AMXINT4 and AMXINT8";
  if (candidate.way == Way::fetched) note += "; what the plan fetches it computes on the CPU";
  if (candidate.way == Way::from_disk)
    note += "; it needs all experts of the CPU in host memory: this is not its case";
  return {
      "KTransformers (SGLang)",
      fmt::format(
          "python -m sglang.launch_server --model MODEL --kt-weight-path WEIGHTS --kt-method {} "
          "--kt-num-gpu-experts {} --kt-expert-placement-strategy frequency --init-expert-location STATS.pt "
          "--kt-cpuinfer CORES --kt-threadpool-count NUMA_NODES --context-length {} "
          "--max-running-requests {}",
          method, kept, question.context, question.sequences()),
      note};
}

EngineFlags vllm(const Question& question, const Setting& setting, const Candidate& candidate,
                 Formats native) {
  const WeightFormat format = setting.precision.experts;
  const Platform& platform = setting.scenario.platform;
  const Memory& memory = platform[platform[platform.first(Device::Kind::gpu)].memory];
  std::string command = fmt::format(
      "vllm serve MODEL --max-model-len {} --max-num-seqs {} --tensor-parallel-size 1 "
      "--gpu-memory-utilization {:.2f}",
      question.context, question.sequences(),
      std::floor((1 - memory.reserved / memory.capacity) * 100) / 100);
  std::string note;
  if (format != native.experts) {
    if (format == WeightFormat::fp8)
      command += " --quantization fp8";
    else if (format == WeightFormat::int4)
      command += " --quantization awq_marlin";
    else
      note = fmt::format("needs a checkpoint in {} that it can read (GPTQ)", name_of(format));
  }
  if (candidate.way == Way::resident) return {"vLLM", command, note};
  const double away = static_cast<double>((setting.all_experts - candidate.gpu_experts).count);
  command += fmt::format(" --cpu-offload-gb {:.0f}", std::ceil(away / (1 << 30)));
  note += fmt::format(
      "{}no equivalent: it keeps no cache of experts and computes nothing on the CPU; --cpu-offload-gb "
      "reads these weights over the link in every step{}",
      note.empty() ? "" : "; ",
      candidate.way == Way::from_disk ? ", from host memory, which is too small here" : "");
  return {"vLLM", command, note};
}

}  // namespace

std::vector<EngineFlags> flags_for(const Question& question, const Setting& setting,
                                   const Candidate& candidate, Formats native) {
  std::vector<EngineFlags> flags{llama_cpp(question, setting, candidate)};
  // Its experts are divided between a GPU and the CPU of a host.
  if (!setting.host_name.empty() && candidate.way != Way::resident)
    flags.push_back(ktransformers(question, setting, candidate));
  flags.push_back(vllm(question, setting, candidate, native));
  return flags;
}

}  // namespace specmoe
