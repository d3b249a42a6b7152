// The driver's management library, as far as it tells what a GPU is. It is only read.
#pragma once

namespace specmoe {

/// Functions as in NVIDIA's nvml.h, which documents them; 0 is success. Each may be null: an old driver lacks some.
struct Nvml {
  using Device = void*;
  /// nvmlMemory_t, in bytes.
  struct Memory {
    unsigned long long total, free, used;
  };
  int (*init)() = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*by_index)(unsigned, Device*) = nullptr;
  int (*name)(Device, char*, unsigned length) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  int (*max_clock)(Device, unsigned type, unsigned* mhz) = nullptr;
  int (*bus_width)(Device, unsigned* bits) = nullptr;
  int (*cores)(Device, unsigned*) = nullptr;
  int (*capability)(Device, int* major, int* minor) = nullptr;
  int (*link_generation)(Device, unsigned*) = nullptr;
  int (*link_width)(Device, unsigned* lanes) = nullptr;
  int (*power_limit)(Device, unsigned* milliwatts) = nullptr;

  /// libnvidia-ml comes with the driver: it is looked for when the program runs.
  /// @return null where there is no such library
  static const Nvml* find();
};

}  // namespace specmoe
