// Learns a profile from a recording, or from counts where there is no more.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "models/moe/routing/routing.hpp"
#include "models/moe/routing/routing_profile.hpp"

namespace specmoe {

/// Where a choice is left open, it follows from how much there is to learn from.
struct ProfileFit {
  std::uint64_t seed = 1;
  /// Whether to learn tables of [expert, expert]: by default where each of their cells could be seen 8 times.
  std::optional<bool> pairs;
  /// Dimensions of a request's path; by default 48 with those tables, else 32.
  std::optional<int> latents;
  /// Tokens to a segment of a path. By default 64 with those tables. Without them the path alone carries what
  /// layers and tokens have to do with each other, and has a segment a token.
  std::optional<int> segment_tokens;
  /// Passes over the data: by default 4, and 30 without tables of pairs.
  std::optional<int> passes;
  /// Hears what is being done.
  std::function<void(const std::string&)> progress = [](const std::string&) {};
};

/// Maximum likelihood by stochastic gradient (Adagrad: Duchi, Hazan, Singer 2011), tables and paths at once, then a
/// factor on all scores (`sharpness`, see profile_calibrate.hpp).
/// Tables that say what decoded tokens at a place have in common are learnt from 32 requests on. A layer where a
/// token was not routed is left out. Memory: all rows.
/// @return without model, source, licence, fitted_on, notes, fitted.
/// @throws InputError if the source has no decoded tokens, or rows that cannot be read.
RoutingProfile fit_profile(RoutingSource& source, const ProfileFit& options);

/// A profile that draws each layer's experts independently, as often as counted: the odds of a draw without
/// replacement are adjusted until the simulated frequencies agree. A layer without counts (all zero) takes those of
/// the nearest layer that has some, its experts in a seeded random order.
/// @throws InputError if there are no counts, or too few experts with one.
RoutingProfile fit_marginals(const ExpertCounts& counts, int top_k, std::uint64_t seed);

}  // namespace specmoe
