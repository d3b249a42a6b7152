// Saturation and curves of a kernel class from measured kernels.
#pragma once
#include <cstdint>
#include <vector>

#include "models/hardware/kernel_price.hpp"
#include "models/hardware/platform.hpp"

namespace specmoe {

struct TimedKernel {
  Kernel kernel;
  Seconds time;
};

/// A number and its standard deviation over bootstraps.
struct Spread {
  double value, deviation;
};

struct FittedClass {
  Saturation saturation;
  Spread floor, memory_efficiency, half_bytes, compute_efficiency;
  std::vector<Curve> curves;
};

/// @param platform its device's saturation of the class is where the search begins
FittedClass fit_kernels(Platform platform, DeviceId device, std::size_t kernel_class,
                        const std::vector<TimedKernel>& kernels);

}  // namespace specmoe
