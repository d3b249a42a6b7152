// The ways of running that a machine has room for.
#pragma once
#include <vector>

#include "sim/planner/setting.hpp"

namespace specmoe {

/// Of a setting whose memories are known. Where all experts fit in GPU memory no other way is as fast; those from a disk
/// are ways only where host memory is too small for all others.
/// @param cpu_computes whether the platform has kernels of a CPU with memory of its own
std::vector<Candidate> candidates_of(const Setting& setting, bool cpu_computes);

}  // namespace specmoe
