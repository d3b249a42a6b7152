#include "models/moe/routing/profile_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "models/moe/routing/exp_below.hpp"
#include "models/moe/routing/profile_calibrate.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/random.hpp"

namespace specmoe {
namespace {

using Part = RoutingProfile::Part;

constexpr std::size_t kSideBySide =
    64;  // requests learnt from in turns, so that none pulls the tables to itself
constexpr float kRate = 0.1f, kPathRate = 0.2f;
constexpr float kForget = 3e-6f;        // of a pair's weight at each use
constexpr float kLatentForget = 1e-4f;  // pull of the latent tables to zero
constexpr int kWeightSamples = 128;     // a layer
const std::vector<std::int32_t> kPositions{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                           11, 12, 13, 14, 15, 16, 24, 32, 48, 64, 128};

struct Sequence {
  std::int64_t prefill = 0, rows = 0;
  std::vector<std::int16_t> experts;  // [row, layer, rank]
};

std::vector<Sequence> read_all(RoutingSource& source) {
  std::vector<Sequence> out;
  for (std::int64_t r = 0; r < source.requests(); ++r) {
    const RequestInfo info = source.request(r);
    if (info.decode_rows == 0) continue;
    Sequence s{info.prefill_rows, info.prefill_rows + info.decode_rows, {}};
    s.experts.resize(static_cast<std::size_t>(s.rows * source.layers() * source.top_k()));
    source.read(r, 0, s.rows, s.experts);
    out.push_back(std::move(s));
  }
  if (out.empty()) throw InputError("", 0, "a trace without decoded tokens", "tokens to fit on");
  return out;
}

// Adagrad: each weight's step is divided by the root of the squares of its gradients so far.
class Learner {
 public:
  Learner(RoutingProfile& profile, std::uint64_t seed) : p_(profile), random_(Random::stream(seed, "fit")) {
    for (std::size_t part = 0; part < RoutingProfile::kParts; ++part)
      squares_[part].assign(p_.tables[part].values.size(), part == Part::latent ? 1e-2f : 1e-4f);
    path_squares_.assign(p_.paths.size(), 1e-2f);
    for (float& u : p_.tables[Part::latent].values)  // small and unequal, so that dimensions become different
      u = 0.3f * static_cast<float>(random_.uniform() + random_.uniform() + random_.uniform() - 1.5);
    const auto n = static_cast<std::size_t>(p_.experts);
    scores_.resize(n);
    odds_.resize(n);
    gradient_.resize(n);
    below_.assign(static_cast<std::size_t>(p_.top_k), std::vector<float>(n));
  }

  // One pass over all sequences. @return mean of -log likelihood of a layer's experts in their order
  double pass(const std::vector<Sequence>& sequences, float rate, float path_shrink) {
    std::vector<std::size_t> order(sequences.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
    struct Place {
      std::size_t sequence;
      std::int64_t row;
    };
    std::vector<Place> places;
    std::size_t next = 0;
    loss_ = 0;
    layers_ = 0;
    while (true) {
      while (places.size() < kSideBySide && next < order.size()) places.push_back({order[next++], 0});
      if (places.empty()) break;
      for (Place& place : places) {
        learn_row(sequences[place.sequence], p_.path[place.sequence], place.row, rate, path_shrink);
        ++place.row;
      }
      std::erase_if(places, [&](const Place& place) { return place.row == sequences[place.sequence].rows; });
    }
    return loss_ / static_cast<double>(std::max<std::int64_t>(1, layers_));
  }

 private:
  void step(Part part, int layer, int index, const float* gradient, float rate) {
    float* w = p_.row(part, layer, index);
    float* a = squares_[part].data() + (w - p_.tables[part].values.data());
    const float keep = part == Part::base || part == Part::position ? 1.0f : 1.0f - kForget;
    for (std::size_t e = 0; e < scores_.size(); ++e) {
      a[e] += gradient[e] * gradient[e];
      w[e] = keep * (w[e] - rate * gradient[e] / std::sqrt(a[e]));
    }
  }

  void learn_row(const Sequence& sequence, const RoutingProfile::Path& path, std::int64_t row, float rate,
                 float path_shrink) {
    const std::int64_t size = std::int64_t{p_.layers} * p_.top_k;
    const std::int16_t* now = sequence.experts.data() + row * size;
    const std::int64_t decoded = row - sequence.prefill;
    const std::int64_t segment =
        path.first + (decoded < 0 ? row / p_.segment_tokens : path.prefill + decoded / p_.segment_tokens);
    float* z = p_.paths.data() + segment * p_.latents();
    float* z_squares = path_squares_.data() + segment * p_.latents();
    for (int layer = 0; layer < p_.layers; ++layer) {
      const std::int16_t* chosen = now + layer * p_.top_k;
      if (std::any_of(chosen, chosen + p_.top_k, [](std::int16_t e) { return e < 0; })) continue;
      p_.active(layer, now, row > 0 ? now - size : nullptr, std::max<std::int64_t>(-1, decoded), active_);
      std::fill(scores_.begin(), scores_.end(), 0.0f);
      const auto add = [&](const float* values, float factor) {
        for (std::size_t e = 0; e < scores_.size(); ++e) scores_[e] += factor * values[e];
      };
      for (const auto& a : active_) add(p_.row(a.part, layer, a.index), 1);
      for (int k = 0; k < p_.latents(); ++k) add(p_.row(Part::latent, layer, k), z[k]);
      differentiate(layer, chosen);

      for (const auto& a : active_) step(a.part, layer, a.index, gradient_.data(), rate);
      if (p_.tables[Part::together].rows > 0)
        for (int rank = 0; rank + 1 < p_.top_k; ++rank)
          step(Part::together, layer, chosen[rank], below_[static_cast<std::size_t>(rank) + 1].data(), rate);
      for (int k = 0; k < p_.latents(); ++k) {
        float* u = p_.row(Part::latent, layer, k);
        float* a = squares_[Part::latent].data() + (u - p_.tables[Part::latent].values.data());
        float slope = path_shrink * z[k];
        for (std::size_t e = 0; e < scores_.size(); ++e) {
          slope += u[e] * gradient_[e];
          const float g = gradient_[e] * z[k] + kLatentForget * u[e];
          a[e] += g * g;
          u[e] -= rate * g / std::sqrt(a[e]);
        }
        z_squares[k] += slope * slope;
        z[k] -= kPathRate / kRate * rate * slope / std::sqrt(z_squares[k]);
      }
    }
  }

  // Of -log likelihood by the scores: gradient_ of all ranks, below_[r] of rank r and those after it.
  void differentiate(int layer, const std::int16_t* chosen) {
    for (int rank = 0; rank < p_.top_k; ++rank) {
      if (rank > 0 && p_.tables[Part::together].rows > 0) {
        const float* row = p_.row(Part::together, layer, chosen[rank - 1]);
        for (std::size_t e = 0; e < scores_.size(); ++e) scores_[e] += row[e];
      }
      float most = -1e30f, total = 0;
      for (std::size_t e = 0; e < scores_.size(); ++e) most = std::max(most, scores_[e]);
      for (std::size_t e = 0; e < scores_.size(); ++e) odds_[e] = exp_below(scores_[e] - most);
      for (int above = 0; above < rank; ++above) odds_[static_cast<std::size_t>(chosen[above])] = 0;
      for (const float o : odds_) total += o;
      total = std::max(total, 1e-30f);
      auto& g = below_[static_cast<std::size_t>(rank)];
      for (std::size_t e = 0; e < scores_.size(); ++e) g[e] = odds_[e] / total;
      const auto truth = static_cast<std::size_t>(chosen[rank]);
      loss_ -= std::log(std::max(g[truth], 1e-30f));
      g[truth] -= 1;
    }
    for (int rank = p_.top_k - 2; rank >= 0; --rank)
      for (std::size_t e = 0; e < scores_.size(); ++e)
        below_[static_cast<std::size_t>(rank)][e] += below_[static_cast<std::size_t>(rank) + 1][e];
    gradient_ = below_.front();
    ++layers_;
  }

  RoutingProfile& p_;
  Random random_;
  std::array<std::vector<float>, RoutingProfile::kParts> squares_;  // as the tables
  std::vector<float> path_squares_;
  std::vector<RoutingProfile::Active> active_;
  std::vector<float> scores_, odds_, gradient_;
  std::vector<std::vector<float>> below_;  // [rank][expert]
  double loss_ = 0;
  std::int64_t layers_ = 0;
};

// Evenly spaced ones; where a token was not routed, the next.
void sample_weights(RoutingProfile& profile, RoutingSource& source) {
  const auto row_size = static_cast<std::size_t>(profile.layers * profile.top_k);
  std::vector<std::pair<std::int64_t, std::int64_t>> rows;  // (request, row)
  for (std::int64_t r = 0; r < source.requests(); ++r) {
    const RequestInfo info = source.request(r);
    for (std::int64_t d = 0; d < info.decode_rows; ++d) rows.emplace_back(r, info.prefill_rows + d);
  }
  const std::size_t samples = std::min<std::size_t>(kWeightSamples, rows.size());
  std::vector<float> row(row_size);
  profile.weights.assign(samples * row_size, 0.0f);
  const auto k = static_cast<std::size_t>(profile.top_k);
  for (std::size_t i = 0; i < samples; ++i) {
    const auto [request, index] = rows[i * rows.size() / samples];
    source.read_weights(request, index, 1, row);
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(profile.layers); ++layer)
      std::copy_n(row.begin() + static_cast<std::ptrdiff_t>(layer * k), k,
                  profile.weights.begin() + static_cast<std::ptrdiff_t>((layer * samples + i) * k));
  }
}

}  // namespace

RoutingProfile fit_profile(RoutingSource& source, const ProfileFit& options) {
  const std::vector<Sequence> sequences = read_all(source);
  RoutingProfile profile;
  profile.layers = source.layers();
  profile.experts = source.experts();
  profile.top_k = source.top_k();
  std::int64_t tokens = 0;
  for (const Sequence& s : sequences) tokens += s.rows;
  const bool pairs =
      options.pairs.value_or(tokens * profile.top_k >= std::int64_t{8} * profile.experts * profile.experts);
  profile.segment_tokens = options.segment_tokens.value_or(pairs ? 64 : 1);
  profile.resize(Part::base, 1);
  if (sequences.size() >= 32) {
    profile.position_first = kPositions;
    profile.resize(Part::position, static_cast<int>(kPositions.size()));
  }
  if (pairs) {
    profile.resize(Part::previous_layers, std::min(4, profile.layers) * profile.experts);
    profile.resize(Part::previous_token, profile.experts);
    if (profile.top_k > 1) profile.resize(Part::together, profile.experts);
  }
  const int latents = options.latents.value_or(pairs ? 48 : 32);
  profile.resize(Part::latent, latents);

  const auto segments = [&](std::int64_t rows) {
    return static_cast<int>((rows + profile.segment_tokens - 1) / profile.segment_tokens);
  };
  int first = 0;
  for (const Sequence& s : sequences) {
    profile.path.push_back({first, segments(s.prefill), segments(s.rows - s.prefill)});
    first += profile.path.back().prefill + profile.path.back().decode;
  }
  profile.paths.assign(static_cast<std::size_t>(first) * static_cast<std::size_t>(latents), 0.0f);

  // Start from popularity: log of the share of tokens that use an expert.
  const std::size_t row_size = static_cast<std::size_t>(profile.layers * profile.top_k);
  std::vector<float> counts(profile.tables[Part::base].values.size(), 0.5f);
  for (const Sequence& s : sequences)
    for (std::size_t i = 0; i < s.experts.size(); ++i)
      if (s.experts[i] >= 0)
        counts[i % row_size / static_cast<std::size_t>(profile.top_k) *
                   static_cast<std::size_t>(profile.experts) +
               static_cast<std::size_t>(s.experts[i])] += 1;
  std::transform(counts.begin(), counts.end(), profile.tables[Part::base].values.begin(),
                 [&](float n) { return std::log(n / static_cast<float>(tokens)); });

  Learner learner(profile, options.seed);
  const int passes = options.passes.value_or(pairs ? 4 : 30);
  for (int i = 0; i < passes; ++i) {
    const float rate = kRate * (1 - static_cast<float>(i) / static_cast<float>(passes));
    const double loss = learner.pass(sequences, rate, pairs ? 5e-4f : 2e-2f);
    options.progress(fmt::format("pass {} of {}: {:.3f} nats a layer", i + 1, passes, loss));
  }
  if (source.has_weights()) sample_weights(profile, source);
  profile.round();
  calibrate_sharpness(profile, source, options);
  return profile;
}

}  // namespace specmoe
