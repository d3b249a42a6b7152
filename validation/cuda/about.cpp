#include "validation/cuda/about.hpp"

#include <cublas_v2.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <thread>

#include "validation/cuda/cuda.hpp"
#include "validation/cuda/harness.hpp"

namespace specmoe::cuda {

namespace {

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace

std::map<std::string, std::string> about_machine() {
  int device = 0, runtime = 0, blas = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  cublasHandle_t handle = nullptr;
  if (cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS) {
    cublasGetVersion(handle, &blas);
    cublasDestroy(handle);
  }
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  const Clocks clocks;
  // Two transfers a clock (double data rate).
  const double peak =
      2e3 * attribute(cudaDevAttrMemoryClockRate) * attribute(cudaDevAttrGlobalMemoryBusWidth) / 8;
  return {{"gpu", properties.name},
          {"compute_capability", fmt::format("{}.{}", properties.major, properties.minor)},
          {"multiprocessors", std::to_string(properties.multiProcessorCount)},
          {"memory_bytes", std::to_string(total)},
          {"memory_free_bytes", std::to_string(free)},
          {"l2_bytes", std::to_string(properties.l2CacheSize)},
          {"memory_peak", fmt::format("{:.0f}", peak)},
          {"clock_khz", std::to_string(attribute(cudaDevAttrClockRate))},
          {"copy_engines", std::to_string(properties.asyncEngineCount)},
          {"driver", clocks.driver()},
          {"cuda", fmt::format("{}.{}", runtime / 1000, runtime % 1000 / 10)},
          {"cublas", std::to_string(blas)},
          {"clocks", clocks.text()},
          {"cpu", processor()},
          {"cores", std::to_string(std::thread::hardware_concurrency())},
          {"host_memory_bytes",
           std::to_string(static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGE_SIZE))},
          {"date", fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr)))},
          {"commit", SPECMOE_COMMIT}};
}

}  // namespace specmoe::cuda
