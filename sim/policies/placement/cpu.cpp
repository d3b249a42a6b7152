// The weights stay where they are and the activations travel: KTransformers, and llama.cpp with --cpu-moe. The cache
// then keeps what it started with or what was prefetched.
#include "sim/policies/placement.hpp"

namespace specmoe {

std::vector<bool> place_on_cpu(std::span<const MissedExpert> misses, const PlacementContext&) {
  return std::vector<bool>(misses.size(), true);
}

}  // namespace specmoe
