// A machine whose calls do nothing: what is left is the engine's own time.
#pragma once
#include <cstdint>

namespace specmoe {

/// Decodes a few tokens of Qwen1.5-MoE with a next-layer gate on such a machine.
/// @return host time a call to the machine, s: policies, routing and bookkeeping
double engine_seconds_per_call(std::int64_t batch);

}  // namespace specmoe
