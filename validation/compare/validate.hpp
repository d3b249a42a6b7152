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

}  // namespace specmoe
