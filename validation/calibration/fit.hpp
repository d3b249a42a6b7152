// From measurements to a platform: every number with the experiment that it comes from and its spread.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "validation/calibration/measurement.hpp"

namespace specmoe {

/// How a platform is named, and on what it is fitted.
struct FitOptions {
  std::string name, description;
  /// What is written as the source of the measurements: the file's name.
  std::string file;
  /// Kernels whose weights are not among them are left out of the fit; all when empty. Takes the shape's numbers as
  /// measurement files keep them.
  std::function<bool(std::size_t kernel_class, const std::vector<std::int64_t>&)> use;
};

/// A fitted platform.
struct Fit {
  Platform platform;
  /// The platform file, as Platform::read takes it.
  std::string yaml;
};

/// Saturation by least squares of ln(priced / measured) over the class's points (coordinates in turn, Brent's method), its
/// spread from bootstraps over the points; curves from what the roofline leaves; links, host calls and slow-downs from
/// medians. Only the experiments to fit on are read, never those to score.
/// @throws InputError if an experiment is missing
Fit fit_platform(const Measurement& measurement, const FitOptions& options);

}  // namespace specmoe
