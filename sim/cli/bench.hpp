// The run that `specmoe bench` measures.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>

#include "models/hardware/platform.hpp"
#include "models/moe/model.hpp"
#include "models/moe/routing/routing_generator.hpp"
#include "sim/base/isolated.hpp"
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
/// The most memory that this process has held so far, MB of 2^20 B.
double megabytes();

/// What `work` measures, in a child of its own: a process runs one simulation. A cost is numbers, and comes back as bytes.
template <class Work>
auto measured(const Work& work) {
  const std::string bytes = run_isolated([&] {
    const auto cost = work();
    return std::string(reinterpret_cast<const char*>(&cost), sizeof cost);
  });
  decltype(work()) cost;
  std::memcpy(&cost, bytes.data(), sizeof cost);
  return cost;
}

/// Prints what the graph of a decoding on four GPUs takes.
void bench_graph();
/// Prints what each eviction policy and each predictor takes of such a run.
void bench_policies(std::int64_t activities);

}  // namespace specmoe
