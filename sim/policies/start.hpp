// What the cache holds before the run: orders of all experts, the most wanted first; what fits is let in.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "models/moe/model.hpp"
#include "models/moe/routing/routing.hpp"

namespace specmoe {

/// What a start may know.
struct StartContext {
  int layers = 0, experts = 0;
  std::uint64_t seed = 0;
  /// Accesses counted before the run, for placements that need them.
  const ExpertCounts* popularity = nullptr;
};

/// A row of the table of starts.
struct StartKind {
  std::string_view name, summary;
  /// Who proposed it.
  std::string_view source;
  bool needs_popularity;
  /// nullptr for "empty".
  std::vector<ExpertId> (*order)(const StartContext&);
};

/// All placements; what scenarios, error messages and `specmoe list` name. The first leaves the cache empty.
std::span<const StartKind> start_kinds();

}  // namespace specmoe
