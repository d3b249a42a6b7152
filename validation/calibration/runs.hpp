// Whole runs of the engine, step by step, on a real machine or a simulated one, so that the two can be compared.
//
// measurements/<machine>_runs.h5 ("specmoe-runs" version 1):
//   /                      attributes: format, version, specmoe
//   /about/{keys,values}   text: as of measurements
//   /run/name              text [run]: "<scenario>/<strategy>"
//   /run/copied            int64 [run]: bytes that the machine copied into GPU memory in one repeat, B
//   /step/{run,repeat,prefill,sequences,tokens,accesses,hits,misses,issued,demand_bytes,prefetch_bytes}
//                          int64 [step]
//   /step/{duration,expert_wait}   float64 [step], s
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/engine/engine.hpp"
#include "sim/scenario/scenario.hpp"
#include "validation/calibration/measurement.hpp"

namespace specmoe {

struct RunStep {
  std::int64_t prefill = 0, sequences = 0, tokens = 0;
  std::int64_t accesses = 0, hits = 0, misses = 0, issued = 0;
  std::int64_t demand_bytes = 0, prefetch_bytes = 0;
  double duration = 0, expert_wait = 0;  // s
};

/// One strategy of one scenario.
struct EngineRun {
  std::string name;
  std::int64_t copied = 0;
  std::vector<std::vector<RunStep>> repeats;
};

struct RunTable {
  About about;
  std::vector<EngineRun> runs;

  /// @throws InputError if the file is no table of runs.
  static RunTable read(const std::filesystem::path& file);
  void write(const std::filesystem::path& file) const;
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
