// What a machine measured beside what the simulator says of the same.
#pragma once
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "validation/calibration/measurement.hpp"
#include "validation/calibration/runs.hpp"
#include "validation/compare/comparison.hpp"

namespace specmoe {

/// Copies, kernels and, if there are any, whole runs of a measurement, each with its simulated time.
/// @param machine what the comparisons name ("h100")
/// @param runs null if the machine ran none
std::vector<Comparison> compare_measured(const Platform& platform, const std::string& machine,
                                         const Measurement& measurement, const RunTable* runs);

/// A platform with the host as fast as it was beside a run: what its calls cost, and how fast it copies out of pageable
/// memory, scaled by the medians of the probes over what the platform says of the same launches and copy.
/// @param hosts as EngineRun::hosts; with none the platform stays as it is
Platform with_host(const Platform& platform, const std::vector<HostState>& hosts);

/// Names of the runs that no scenario of validation/runs is for, so that compare_measured leaves them out.
std::vector<std::string> runs_without_scenario(const RunTable& runs);

/// What a platform fitted on the kernels of one half of the models says of those of the other half: of every measured
/// shape that the first half does not have, and of the other half's runs.
std::vector<Comparison> compare_unseen_models(const std::string& machine, const Measurement& measurement,
                                              const RunTable* runs);

/// A GPU that was never measured: `measured` with the peak rates, the L2 cache and the memory of `other`'s GPU, which
/// stand in its datasheet. All else, curves and host included, is that of the measured one.
Platform with_datasheet_of(const Platform& measured, const Platform& other);

}  // namespace specmoe
