// Every fit of a platform and what it leaves, drawn.
#pragma once
#include <string>

#include "models/hardware/platform.hpp"
#include "validation/calibration/measurement.hpp"

namespace specmoe {

/// One HTML page: for each kernel class and each way of copies the fitted time over the measured one, and the residuals, of
/// the points that were fitted on. (Points that were not are validate's.)
std::string fit_page(const Measurement& measurement, const Platform& platform);

}  // namespace specmoe
