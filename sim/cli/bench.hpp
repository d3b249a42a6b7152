// The run that `specmoe bench` measures.
#pragma once
#include <cstdint>

#include "models/hardware/platform.hpp"
#include "models/moe/model.hpp"
#include "models/moe/routing/routing_generator.hpp"
#include "sim/engine/engine.hpp"

namespace specmoe {

/// Decoding of Qwen3-30B-A3B on an RTX 4090, a third of whose experts fit, on-demand LRU; about `activities` kernels and
/// copies.
struct BenchRun {
  explicit BenchRun(std::int64_t activities);
  Platform platform;
  MoeModel model;
  RoutingOptions routing;
  Workload workload;
  EngineSettings settings;
};

/// CPU time of this process so far, user and system.
double cpu_seconds();

/// Prints what each eviction policy and each predictor takes of such a run.
void bench_policies(std::int64_t activities);

}  // namespace specmoe
