#include "sim/detect/nvml.hpp"

#include <dlfcn.h>

#include <type_traits>

namespace specmoe {

const Nvml* Nvml::find() {
  static Nvml nvml;
  static void* const library = ::dlopen("libnvidia-ml.so.1", RTLD_NOW);
  if (!library) return nullptr;
  const auto load = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(::dlsym(library, name));
  };
  load(nvml.init, "nvmlInit_v2");
  load(nvml.count, "nvmlDeviceGetCount_v2");
  load(nvml.by_index, "nvmlDeviceGetHandleByIndex_v2");
  load(nvml.name, "nvmlDeviceGetName");
  load(nvml.memory, "nvmlDeviceGetMemoryInfo");
  load(nvml.max_clock, "nvmlDeviceGetMaxClockInfo");
  load(nvml.bus_width, "nvmlDeviceGetMemoryBusWidth");
  load(nvml.cores, "nvmlDeviceGetNumGpuCores");
  load(nvml.capability, "nvmlDeviceGetCudaComputeCapability");
  load(nvml.link_generation, "nvmlDeviceGetMaxPcieLinkGeneration");
  load(nvml.link_width, "nvmlDeviceGetMaxPcieLinkWidth");
  load(nvml.power_limit, "nvmlDeviceGetEnforcedPowerLimit");
  return &nvml;
}

}  // namespace specmoe
