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

const char* kt_method(WeightFormat format) {
  switch (format) {
    case WeightFormat::bf16:
      return "BF16";
    case WeightFormat::fp8:
      return "FP8";
    case WeightFormat::int8:
      return "AMXINT8";
    case WeightFormat::int4:
      return "AMXINT4";
    default:
      return nullptr;
  }
}

// Layers as llama.cpp counts them, dense ones too: those up to the `away`-th with experts.
std::size_t blocks_with(const MoeModel& model, std::int64_t away) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < model.blocks.size(); ++i)
    if (model.blocks[i].moe_layer >= 0 && model.blocks[i].moe_layer < away) count = i + 1;
  return count;
}

template <class Is>
std::optional<std::size_t> find(const Setting& setting, const Is& is) {
  for (std::size_t c = 0; c < setting.candidates.size(); ++c)
    if (is(setting.candidates[c])) return c;
  return std::nullopt;
}

EngineFlags llama_cpp(const Question& question, const Setting& setting, const Candidate& candidate) {
  const MoeModel& model = setting.scenario.model;
  EngineFlags flags{"llama.cpp",
                    fmt::format("llama-server -m {}-{}.gguf -c {} -np {} -ngl 99 -ctk f16 -ctv f16",
                                model.name, gguf_type(setting.precision.experts),
                                question.context * question.sequences(), question.sequences()),
                    ""};
  if (candidate.way == Way::resident) {
    flags.like = find(setting, [](const Candidate& c) { return c.way == Way::resident; });
    return flags;
  }
  const std::int64_t layer = (model.expert_bytes() * model.experts).count;
  const std::int64_t away = model.moe_layers - setting.gpu_room.count / layer;
  flags.command += away == model.moe_layers ? std::string(" --cpu-moe")
                                            : fmt::format(" --n-cpu-moe {}", blocks_with(model, away));
  flags.like = find(setting, [](const Candidate& c) { return c.cpu_layers > 0; });
  if (candidate.way == Way::from_disk)
    flags.note = "without --mlock and --no-mmap: the system's page cache is the host cache";
  else if (candidate.cpu_layers == 0)
    flags.note =
        "it divides experts by layers, keeps no cache of them on the GPU, and copies none while it decodes";
  return flags;
}

EngineFlags ktransformers(const Question& question, const Setting& setting, const Candidate& candidate) {
  const MoeModel& model = setting.scenario.model;
  const char* method = kt_method(setting.precision.experts);
  const std::int64_t kept = setting.gpu_room.count / (model.expert_bytes().count * model.moe_layers);
  EngineFlags flags{
      "KTransformers (SGLang)",
      fmt::format(
          "python -m sglang.launch_server --model MODEL --kt-weight-path WEIGHTS --kt-method {} "
          "--kt-num-gpu-experts {} --kt-expert-placement-strategy frequency --init-expert-location STATS.pt "
          "--kt-cpuinfer CORES --kt-threadpool-count NUMA_NODES --context-length {} --max-running-requests "
          "{}",
          method ? method : "LLAMAFILE", kept, question.context, question.sequences()),
      method ? "needs a CPU with AVX512, and AMX for AMXINT4 and AMXINT8"
             : "its other kernels have no such format: the CPU's weights as GGUF, a preview"};
  flags.like = find(setting, [](const Candidate& c) { return c.way == Way::on_cpu && c.cpu_layers == 0; });
  if (candidate.way == Way::from_disk)
    flags.note += "; it wants the CPU's experts in host memory, which is too small for them here";
  return flags;
}

EngineFlags vllm(const Question& question, const Setting& setting, const Candidate& candidate,
                 Formats native) {
  const WeightFormat format = setting.precision.experts;
  const Platform& platform = setting.scenario.platform;
  const Memory& memory = platform[platform[platform.first(Device::Kind::gpu)].memory];
  EngineFlags flags{
      "vLLM",
      fmt::format("vllm serve MODEL --max-model-len {} --max-num-seqs {} --tensor-parallel-size 1 "
                  "--gpu-memory-utilization {:.2f}",
                  question.context, question.sequences(),
                  std::floor((1 - memory.reserved / memory.capacity) * 100) / 100),
      ""};
  if (format != native.experts) {
    if (format == WeightFormat::fp8)
      flags.command += " --quantization fp8";
    else if (format == WeightFormat::int4)
      flags.command += " --quantization awq_marlin";
    else
      flags.note = fmt::format("needs a checkpoint in {} of a kind that it reads", name_of(format));
  }
  if (candidate.way == Way::resident) {
    flags.like = find(setting, [](const Candidate& c) { return c.way == Way::resident; });
    return flags;
  }
  flags.command += fmt::format(" --cpu-offload-gb {:.0f}",
                               std::ceil((setting.all_experts - setting.gpu_room) / Bytes{1 << 30}));
  flags.note += fmt::format(
      "{}no equivalent: it keeps no cache of experts and computes none on the CPU; what is offloaded crosses "
      "the "
      "link in every step",
      flags.note.empty() ? "" : "; ");
  return flags;
}

}  // namespace

std::vector<EngineFlags> flags_for(const Question& question, const Setting& setting,
                                   const Candidate& candidate, Formats native) {
  std::vector<EngineFlags> flags{llama_cpp(question, setting, candidate)};
  // It divides experts between a GPU and the CPU of a host.
  if (!setting.host_name.empty() && candidate.way != Way::resident)
    flags.push_back(ktransformers(question, setting, candidate));
  flags.push_back(vllm(question, setting, candidate, native));
  return flags;
}

}  // namespace specmoe
