// What comes nearest to a plan in the engines that people use. Flags as documented by
//   llama.cpp: tools/server/README.md; --cpu-moe, --n-cpu-moe: ggml-org/llama.cpp#15077
//   KTransformers in SGLang: kvcache-ai/ktransformers@15c624d, doc/en/kt-kernel/experts-sched-Tutorial.md and
//     Native-Formats-Tutorial.md; --kt-method AMXINT4, AMXINT8, LLAMAFILE: kvcache-ai/ktransformers#1608
//   vLLM: docs.vllm.ai/en/v0.8.1/serving/engine_args.html
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "sim/planner/setting.hpp"

namespace specmoe {

/// What an engine is started with.
struct EngineFlags {
  std::string engine;
  /// A command; what a user must fill in stands in capitals.
  std::string command;
  /// What the engine does otherwise than the plan; empty if nothing of weight.
  std::string note;
  /// The candidate of the setting that it comes nearest to; none where the simulator has no such way. And what that gives.
  std::optional<std::size_t> like{};
  std::optional<double> tokens_per_second{};
};

/// @param native the model's own precision
std::vector<EngineFlags> flags_for(const Question& question, const Setting& setting,
                                   const Candidate& candidate, Formats native);

}  // namespace specmoe
