// Saturation and curves of a kernel class from measured kernels.
#pragma once
#include <cstdint>
#include <vector>

#include "models/hardware/kernel_price.hpp"
#include "models/hardware/platform.hpp"

namespace specmoe {

/// A kernel and what it took.
struct TimedKernel {
  Kernel kernel;
  Seconds time;
};

/// A number and its standard deviation over bootstraps.
struct Spread {
  double value, deviation;
};

/// The fitted numbers of a class of kernels, with their spread.
struct FittedClass {
  /// Without a floor: its start takes the place.
  Saturation saturation;
  Spread memory_efficiency, half_bytes, compute_efficiency, start;
  Spread block, serial;  // of attention and TopK; else 0
  std::vector<Curve> curves;
};

/// Least squares of ln(roofline / measured), with each of a few tile_rows, and of a few resident for attention; then
/// curves of what is left, the geometric mean where kernels share a point.
/// @param platform its device's saturation of the class is where the search begins
FittedClass fit_kernels(Platform platform, DeviceId device, std::size_t kernel_class,
                        const std::vector<TimedKernel>& kernels);

}  // namespace specmoe
