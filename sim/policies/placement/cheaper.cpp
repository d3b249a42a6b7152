// Fiddler (Kamahori et al., arXiv 2402.07033, algorithm 1): an expert is computed on the CPU unless that takes longer
// than to load and compute it on the GPU. Each expert is judged by itself and as if nothing else were under way.
// Fiddler's code (mixtral.py) looks for the least sum over a layer's experts, which is the same; it leaves out the
// activations, which take little. Here they count.
#include "sim/policies/placement.hpp"

namespace specmoe {

std::vector<bool> place_cheaper(std::span<const MissedExpert> misses, const PlacementContext&) {
  std::vector<bool> on_cpu;
  for (const MissedExpert& miss : misses)
    on_cpu.push_back(miss.cpu + miss.activations <= miss.transfer + miss.gpu);
  return on_cpu;
}

}  // namespace specmoe
