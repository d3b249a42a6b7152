#include "sim/base/random.hpp"

namespace specmoe {

// SplitMix64 (Steele, Lea, Flood 2014): turns related seeds into unrelated ones.
static std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

Random Random::stream(std::uint64_t seed, std::string_view name, std::uint64_t index) {
  std::uint64_t h = mix(seed);
  for (const char c : name) h = mix(h ^ static_cast<unsigned char>(c));
  return Random(mix(h ^ index));
}

std::uint64_t Random::below(std::uint64_t n) {
  const std::uint64_t limit = ~std::uint64_t{0} - ~std::uint64_t{0} % n;  // rejects the uneven tail
  std::uint64_t x = bits();
  while (x >= limit) x = bits();
  return x % n;
}

}  // namespace specmoe
