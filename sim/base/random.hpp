#pragma once
#include <cstdint>
#include <random>
#include <string_view>

namespace specmoe {

/// A seeded stream of random numbers, the same on every platform: std::mt19937_64 (fixed by the standard)
/// with our own distributions (the standard's are not fixed). Passed in, never global.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  /// An independent stream for a part of the simulation: same seed, name and index, same stream.
  static Random stream(std::uint64_t seed, std::string_view name, std::uint64_t index = 0);

  std::uint64_t bits() { return engine_(); }
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  /// Uniform in 0 .. n-1; n > 0.
  std::uint64_t below(std::uint64_t n);
  bool chance(double probability) { return uniform() < probability; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace specmoe
