// What tests of times by pencil and paper share, on the machine of test_platform.hpp: PCIe 25 GB/s each way, 40 GB/s both
// ways together, 10 GB/s pageable, 10 us a copy; a kernel(n) takes n nanoseconds.
#pragma once
#include <doctest/doctest.h>

#include "tests/machine/recording.hpp"
#include "tests/machine/test_platform.hpp"

namespace specmoe::testing {

inline doctest::Approx exactly(double value) { return doctest::Approx(value).epsilon(1e-9).scale(0); }

constexpr Bytes operator""_MB(unsigned long long count) {
  return {static_cast<std::int64_t>(count) * 1'000'000};
}

/// The host's calls cost nothing.
inline Platform free_calls(int gpus = 1) {
  Platform platform = test_platform(gpus);
  set_host_calls(platform, {});
  return platform;
}

inline void load(Machine& machine, Stream stream, Bytes bytes, MemoryId to = kVram) {
  machine.copy(stream, kRam, to, bytes, HostMemory::pinned);
}

inline void store(Machine& machine, Stream stream, Bytes bytes, MemoryId from = kVram) {
  machine.copy(stream, from, kRam, bytes, HostMemory::pinned);
}

}  // namespace specmoe::testing
