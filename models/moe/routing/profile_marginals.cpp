#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "models/moe/routing/profile_fit.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/random.hpp"

namespace specmoe {
namespace {

constexpr float kNever = -80;  // e^-80: an expert without a count

// Log odds with which drawing `top_k` experts without replacement uses each with its share of the counts.
// Iterative proportional fitting on simulated draws: exponential clocks of these rates, the first k to ring.
std::vector<float> log_odds(const std::vector<std::int64_t>& counts, int top_k, Random& random) {
  constexpr int kDraws = 20'000, kRounds = 12;
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  std::vector<double> share, odds;
  for (const std::int64_t n : counts) share.push_back(static_cast<double>(n) / total);
  odds = share;
  std::vector<std::pair<double, std::size_t>> rings(counts.size());
  for (int round = 0; round < (top_k > 1 ? kRounds : 0); ++round) {
    std::vector<double> seen(counts.size(), 0.5);
    for (int i = 0; i < kDraws; ++i) {
      for (std::size_t e = 0; e < rings.size(); ++e)
        rings[e] = {odds[e] > 0 ? -std::log(1 - random.uniform()) / odds[e] : 1e300, e};
      std::nth_element(rings.begin(), rings.begin() + (top_k - 1), rings.end());
      for (int rank = 0; rank < top_k; ++rank) seen[rings[static_cast<std::size_t>(rank)].second] += 1;
    }
    // No expert can be used more than once a token: a share above 1 / k stays at the most that can be had.
    for (std::size_t e = 0; e < odds.size(); ++e)
      odds[e] = std::min(1e6, odds[e] * share[e] * kDraws * top_k / seen[e]);
  }
  std::vector<float> out;
  for (const double o : odds)
    out.push_back(o > 0 ? std::max(kNever, static_cast<float>(std::log(o))) : kNever);
  return out;
}

}  // namespace

RoutingProfile fit_marginals(const ExpertCounts& counts, int top_k, std::uint64_t seed) {
  RoutingProfile profile;
  profile.layers = static_cast<int>(counts.size());
  profile.experts = counts.empty() ? 0 : static_cast<int>(counts.front().size());
  profile.top_k = top_k;
  profile.marginals_only = true;
  const auto used = [](const std::vector<std::int64_t>& layer) {
    return std::count_if(layer.begin(), layer.end(), [](std::int64_t n) { return n > 0; });
  };
  std::vector<int> counted;
  for (int layer = 0; layer < profile.layers; ++layer) {
    const auto& row = counts[static_cast<std::size_t>(layer)];
    if (static_cast<int>(row.size()) != profile.experts)
      throw InputError("", 0, fmt::format("layer {}: counts of {} experts", layer, row.size()),
                       fmt::format("{} as in the first layer", profile.experts));
    if (std::any_of(row.begin(), row.end(), [](std::int64_t n) { return n < 0; }))
      throw InputError("", 0, fmt::format("layer {}: a negative count", layer), "0 or more");
    if (used(row) == 0) continue;
    if (top_k < 1 || used(row) < top_k)
      throw InputError("", 0, fmt::format("layer {}: {} experts with a count", layer, used(row)),
                       fmt::format("at least {}", top_k));
    counted.push_back(layer);
  }
  if (counted.empty()) throw InputError("", 0, "no counts", "a layer with counts");

  profile.resize(RoutingProfile::base, 1);
  for (int layer = 0; layer < profile.layers; ++layer) {
    auto random = Random::stream(seed, "marginals", static_cast<std::uint64_t>(layer));
    const int from = *std::min_element(counted.begin(), counted.end(), [&](int a, int b) {
      return std::abs(a - layer) < std::abs(b - layer);
    });
    auto row = counts[static_cast<std::size_t>(from)];
    if (from != layer)
      for (std::size_t i = row.size(); i > 1; --i) std::swap(row[i - 1], row[random.below(i)]);
    const auto odds = log_odds(row, top_k, random);
    std::copy(odds.begin(), odds.end(), profile.row(RoutingProfile::base, layer, 0));
  }
  profile.round();
  return profile;
}

}  // namespace specmoe
