#include "validation/cuda/nvml.hpp"

#include <dlfcn.h>

#include <type_traits>

#include "validation/cuda/cuda.hpp"

namespace specmoe::cuda {

namespace {

const Nvml* open() {
  static Nvml nvml;
  void* library = ::dlopen("libnvidia-ml.so.1", RTLD_NOW);
  if (!library) return nullptr;
  const auto load = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(::dlsym(library, name));
    return function != nullptr;
  };
  int (*init)() = nullptr;
  int (*by_bus)(const char*, Nvml::Device*) = nullptr;
  const bool all = load(init, "nvmlInit_v2") && load(by_bus, "nvmlDeviceGetHandleByPciBusId_v2") &&
                   load(nvml.clock, "nvmlDeviceGetClockInfo") &&
                   load(nvml.reasons, "nvmlDeviceGetCurrentClocksThrottleReasons") &&
                   load(nvml.driver, "nvmlSystemGetDriverVersion") &&
                   load(nvml.power, "nvmlDeviceGetPowerUsage") &&
                   load(nvml.energy, "nvmlDeviceGetTotalEnergyConsumption");
  // Its numbers of devices are not CUDA's.
  int device = 0;
  char bus[32] = "";
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetPCIBusId(bus, sizeof bus, device), "cudaDeviceGetPCIBusId");
  return all && init() == 0 && by_bus(bus, &nvml.device) == 0 ? &nvml : nullptr;
}

}  // namespace

const Nvml* Nvml::find() {
  static const Nvml* const nvml = open();
  return nvml;
}

}  // namespace specmoe::cuda
