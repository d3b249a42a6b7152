// The driver's management library. It is only read, never told to change anything.
#pragma once

namespace specmoe::cuda {

/// libnvidia-ml comes with the driver, not with the toolkit: it is looked for when the program runs. Functions as in NVIDIA's
/// nvml.h, which documents them; 0 is success.
struct Nvml {
  using Device = void*;
  int (*clock)(Device, unsigned type, unsigned* mhz);
  int (*reasons)(Device, unsigned long long*);
  int (*driver)(char*, unsigned length);
  /// The board's power, on newer GPUs the mean of the last second; and its energy since the driver was loaded.
  int (*power)(Device, unsigned* milliwatts);
  int (*energy)(Device, unsigned long long* millijoules);
  /// The current CUDA device.
  Device device;

  /// @return null where there is no such library or it does not know the device
  static const Nvml* find();
};

}  // namespace specmoe::cuda
