// Whole runs of the engine, step by step, on a real machine or a simulated one, so that the two can be compared.
//
// `measurements/<machine>_runs.h5` ("specmoe-runs" version 1):
//   /                      attributes: format, version, specmoe
//   /about/{keys,values}   text: as of measurements
//   /run/name              text [run]: "<scenario>/<strategy>"
//   /run/copied            int64 [run]: bytes that the machine copied into GPU memory in one repeat, B
//   /step/{run,repeat,prefill,sequences,tokens,accesses,hits,misses,issued,demand_bytes,prefetch_bytes}
//                          int64 [step]
//   /step/{duration,expert_wait}   float64 [step], s
//   /host/{run,repeat}     int64 [probe], optional: the host was probed just before and just after this repeat
//   /host/{launch,copy}    float64 [probe], s: see HostState
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/engine/engine.hpp"
#include "sim/scenario/scenario.hpp"
#include "validation/calibration/measurement.hpp"

namespace specmoe {

/// What a step did, and how long it took.
struct RunStep {
  std::int64_t prefill = 0, sequences = 0, tokens = 0;
  std::int64_t accesses = 0, hits = 0, misses = 0, issued = 0;
  std::int64_t demand_bytes = 0, prefetch_bytes = 0;
  double duration = 0, expert_wait = 0;  // s
};

/// Bytes of the copy that a HostState tells of.
constexpr std::int64_t kProbedCopy = 16 << 20;

/// How fast a host was beside a run.
struct HostState {
  /// Seconds a launch of mixed_kernels(0, 1), as the experiment call/mixed times them with the GPU free.
  double launch = 0;
  /// Seconds a copy of kProbedCopy out of pageable memory; 0 where the run's memory was pinned.
  double copy = 0;
};

/// One strategy of one scenario.
struct EngineRun {
  std::string name;
  std::int64_t copied = 0;
  std::vector<std::vector<RunStep>> repeats;
  /// Of each repeat, the mean of before and after; empty where the host was not probed.
  std::vector<HostState> hosts{};
};

/// A file of runs on one machine.
struct RunTable {
  About about;
  std::vector<EngineRun> runs;

  /// @throws InputError if the file is no table of runs.
  static RunTable read(const std::filesystem::path& file);
  void write(const std::filesystem::path& file) const;

 private:
  static RunTable read_untried(const std::filesystem::path& file);
};

/// Collects the steps of a run.
class StepCollector final : public EngineObserver {
 public:
  void step_ended(const StepRecord& step) override;
  void run_ended(std::int64_t, Bytes) override {}
  std::vector<RunStep> steps;
};

/// Runs one strategy of a scenario on a machine.
std::vector<RunStep> run_steps(Machine& machine, const Scenario& scenario, const Strategy& strategy);

/// The scenarios of validation/runs, by name.
std::vector<std::filesystem::path> validation_scenarios();

}  // namespace specmoe
