#include "models/moe/routing/profile_calibrate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/moe/routing/profile_generator.hpp"
#include "models/moe/routing/trace_statistics.hpp"

namespace specmoe {
namespace {

// Distinct experts a layer of n consecutive decoded tokens.
double working_set(RoutingSource& source, std::int64_t n) {
  const std::int64_t row = std::int64_t{source.layers()} * source.top_k();
  const auto experts = static_cast<std::size_t>(source.experts());
  std::vector<std::int16_t> rows(static_cast<std::size_t>(n * row));
  std::vector<bool> seen(static_cast<std::size_t>(source.layers()) * experts);
  std::int64_t distinct = 0, windows = 0;
  for (std::int64_t r = 0; r < source.requests(); ++r) {
    const RequestInfo info = source.request(r);
    for (std::int64_t first = 0; first + n <= info.decode_rows; first += n, ++windows) {
      source.read(r, info.prefill_rows + first, n, rows);
      std::fill(seen.begin(), seen.end(), false);
      for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i] >= 0)
          seen[i % static_cast<std::size_t>(row) / static_cast<std::size_t>(source.top_k()) * experts +
               static_cast<std::size_t>(rows[i])] = true;
      distinct += std::count(seen.begin(), seen.end(), true);
    }
  }
  return windows == 0 ? 0 : static_cast<double>(distinct) / (static_cast<double>(windows) * source.layers());
}

// Half a step of iterative proportional fitting towards the source's popularity, with 5 more uses of each expert on
// both sides. A sharper profile would otherwise prefer popular experts too much.
void correct_popularity(RoutingProfile& profile, const TraceStatistics& real, const TraceStatistics& made) {
  const auto rows = [](const TraceStatistics& s) {
    return static_cast<double>(s.prefill_rows + s.decode_rows);
  };
  const double scale = rows(real) / rows(made);
  for (int layer = 0; layer < profile.layers; ++layer)
    for (int e = 0; e < profile.experts; ++e) {
      const auto l = static_cast<std::size_t>(layer), x = static_cast<std::size_t>(e);
      profile.row(RoutingProfile::base, layer, 0)[e] +=
          static_cast<float>(0.5 / profile.sharpness *
                             std::log((static_cast<double>(real.counts[l][x]) + 5) /
                                      (scale * static_cast<double>(made.counts[l][x]) + 5)));
    }
}

}  // namespace

void calibrate_sharpness(RoutingProfile& profile, RoutingSource& source, const ProfileFit& options) {
  constexpr std::int64_t kTokens = 30'000, kAtLeast = 2'000;
  ProfileOptions run;
  run.seed = options.seed + 1;
  std::int64_t tokens = 0, longest = 0;
  for (std::int64_t r = 0; r < source.requests(); ++r)
    longest = std::max(longest, source.request(r).decode_rows);
  for (std::int64_t r = 0; tokens < kTokens;
       ++r) {  // as long as the source's requests; a short source, again
    if (r >= source.requests() && tokens >= kAtLeast) break;
    run.lengths.push_back(source.request(r % source.requests()));
    tokens += run.lengths.back().decode_rows;
  }
  const std::int64_t n = std::min<std::int64_t>(64, longest);
  const TraceStatistics real = statistics(source);
  const double set = working_set(source, n);
  if (real.decode_overlap <= 0) return;
  double low = 0.5, high = 2;
  for (int i = 0; i < 10; ++i) {
    profile.sharpness = std::sqrt(low * high);
    ProfileGenerator generator(profile, run);
    const TraceStatistics made = statistics(generator);
    const double more_overlap = made.decode_overlap / real.decode_overlap,
                 larger_set = working_set(generator, n) / set;
    options.progress(
        fmt::format("sharpness {:.3f}: overlap {:+.1f} %, distinct experts of {} tokens {:+.1f} %",
                    profile.sharpness, 100 * (more_overlap - 1), n, 100 * (larger_set - 1)));
    correct_popularity(profile, real, made);
    // The correction moves what was measured: leave the interval room around the middle.
    double& bound = more_overlap < larger_set ? low : high;
    bound = std::sqrt(bound * profile.sharpness);
  }
}

}  // namespace specmoe
