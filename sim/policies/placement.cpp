#include "sim/policies/placement.hpp"

#include <array>

namespace specmoe {

std::vector<bool> place_on_gpu(std::span<const MissedExpert>, const PlacementContext&);
std::vector<bool> place_on_cpu(std::span<const MissedExpert>, const PlacementContext&);
std::vector<bool> place_cheaper(std::span<const MissedExpert>, const PlacementContext&);
std::vector<bool> place_split(std::span<const MissedExpert>, const PlacementContext&);

std::span<const PlacementKind> placement_kinds() {
  static constexpr std::array kinds{
      PlacementKind{"gpu", "a missed expert is loaded and computed on the GPU", "", false, place_on_gpu},
      PlacementKind{"cpu", "the CPU computes every missed expert; none is loaded",
                    "KTransformers (SOSP 2025); llama.cpp --cpu-moe", true, place_on_cpu},
      PlacementKind{"cheaper",
                    "where it takes less time, counting the copy of the weights or of the activations",
                    "Fiddler, arXiv 2402.07033, algorithm 1", true, place_cheaper},
      PlacementKind{"split", "a layer's misses are shared by bandwidth, so that link and CPU end together",
                    "FreeToken, arXiv 2608.16157, 3.1 to 3.3", true, place_split},
  };
  return kinds;
}

}  // namespace specmoe
