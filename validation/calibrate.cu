// specmoe-calibrate: what a real GPU says of itself, in the terms of a platform file. Needs a CUDA GPU to run.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace {

void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess)
    throw std::runtime_error(fmt::format("{}: {}", call, cudaGetErrorString(status)));
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

// Only what the driver reports; bandwidths and rates that count are measured, not reported.
void list_devices() {
  int count = 0, driver = 0;
  check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  fmt::print("driver for CUDA {}.{}\n", driver / 1000, driver % 1000 / 10);
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    // Two transfers a clock (double data rate).
    const double peak = 2e3 * attribute(cudaDevAttrMemoryClockRate, device) *
                        attribute(cudaDevAttrGlobalMemoryBusWidth, device) / 8;
    fmt::print(
        "{}: {}, sm_{}{}\n  memory {:.2f} GB, peak {:.0f} GB/s, L2 {:.0f} MiB\n  {} SMs, {} copy engines\n",
        device, properties.name, properties.major, properties.minor,
        static_cast<double>(properties.totalGlobalMem) * 1e-9, peak * 1e-9,
        static_cast<double>(properties.l2CacheSize) / 0x1p20, properties.multiProcessorCount,
        properties.asyncEngineCount);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures real GPUs for SpecMoE", "specmoe-calibrate");
  app.require_subcommand(1);
  app.add_subcommand("devices", "What the driver reports of this machine's GPUs")->callback(list_devices);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    fmt::print(stderr, "specmoe-calibrate: {}\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "specmoe-calibrate: {}\n", e.what());
    return 1;
  }
}
