// What a machine and its GPU say of themselves.
#pragma once
#include <map>
#include <string>

namespace specmoe::cuda {

/// gpu, compute_capability, multiprocessors, memory_bytes, memory_free_bytes, l2_bytes, memory_peak (B/s), clock_khz, driver, cuda,
/// cublas, clocks, copy_engines, cpu, cores, host_memory_bytes, date (UTC), commit.
std::map<std::string, std::string> about_machine();

}  // namespace specmoe::cuda
