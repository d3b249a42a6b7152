// Walks routing through an expert cache without time: hit rates as a recording engine, or a published replay,
// counts them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "models/moe/routing/routing.hpp"
#include "sim/engine/expert_cache.hpp"
#include "sim/policies/eviction.hpp"

namespace specmoe {

/// What an engine looks up at once.
enum class Lookup {
  /// One expert after the other, in rank order: each miss is loaded before the next look-up, and may evict an
  /// expert
  /// that the same token needs. A prompt goes through layer by layer, in each token by token.
  access,
  /// All experts of a layer: first all look-ups, then the loads, and none of them leaves for another (as
  /// llama.cpp and
  /// its kin do). A prompt is one step: each layer needs the distinct experts of its tokens, in order of last
  /// use.
  layer
};

/// How a trace is replayed.
struct Replay {
  /// One of eviction_kinds().
  const EvictionKind* eviction = nullptr;
  /// layers and experts are the source's.
  CacheShape cache;
  Lookup lookup = Lookup::layer;
  std::uint64_t seed = 0;
  ParameterValues parameters = {};
  /// The first so many requests; the cache is kept from one to the next.
  std::optional<std::int64_t> requests;
  /// Hears of everything that is looked up together: one layer of a step, and which of its experts were
  /// there.
  std::function<void(bool prefill, std::span<const ExpertId> group, const std::vector<bool>& hits)> observe =
      {};
};

/// Accesses, and those of them found in the cache.
struct ReplayResult {
  std::int64_t prefill_accesses = 0, prefill_hits = 0;
  std::int64_t decode_accesses = 0, decode_hits = 0;
};

/// Reads the source once, twice for policies that need the future. Memory: one prompt.
/// @throws InputError if the source cannot deliver its rows.
ReplayResult replay(RoutingSource& source, const Replay& options);

}  // namespace specmoe
