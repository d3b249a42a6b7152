// Loading on demand: every missed expert comes to the GPU.
#include "sim/policies/placement.hpp"

namespace specmoe {

std::vector<bool> place_on_gpu(std::span<const MissedExpert> misses, const PlacementContext&) {
  return std::vector<bool>(misses.size(), false);
}

}  // namespace specmoe
