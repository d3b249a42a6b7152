// The sections of a strategy that say how experts travel and what becomes of a miss.
#pragma once
#include "sim/scenario/scenario.hpp"
#include "sim/scenario/section.hpp"

namespace specmoe {

/// transfer: {pieces: whole | matrices | 4 MB}
void read_transfer(const Yaml& strategy, const Yaml& document, const Scenario& scenario, EngineSettings& out);

/// miss: {compute: gpu, cpu_layers: 0, format: int4, thresholds: [0.6, 0.9], skip_below: 0.05}
/// @throws InputError also for a CPU that computes nothing, a format that is not smaller, a routing without gate
/// weights, copies that the experts' memory has no room for
void read_miss(const Yaml& strategy, const Yaml& document, const Scenario& scenario, EngineSettings& out);

/// host_cache: {capacity: 8 GB, eviction: lru}. After the cache has been read.
/// @throws InputError also where experts do not wait on a disk, and for a capacity that the host does not have or that
/// does not hold what the GPU's cache does
void read_host_cache(const Yaml& strategy, const Yaml& document, const Scenario& scenario,
                     EngineSettings& out);

/// prefetch: {queue: false, step_budget: 1 GB}. After the rest of that section has been read.
void read_prefetch_queue(const Section& prefetch, const Scenario& scenario, EngineSettings& out);

}  // namespace specmoe
