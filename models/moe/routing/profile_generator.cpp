#include "models/moe/routing/profile_generator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "models/moe/routing/exp_below.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {
namespace {

// As in RoutingGenerator: requests that are read side by side keep their progress; beyond these the earliest
// starts over.
constexpr std::size_t kInProgress = 4096;

// An expert with probability in proportion to its odds, all of which are >= 0.
std::int16_t draw(const std::vector<float>& odds, Random& random) {
  std::array<float, 8> sums{};  // side by side, as vector instructions add
  std::size_t i = 0;
  for (; i + 8 <= odds.size(); i += 8)
    for (std::size_t j = 0; j < 8; ++j) sums[j] += odds[i + j];
  for (; i < odds.size(); ++i) sums[0] += odds[i];
  const float total = std::accumulate(sums.begin(), sums.end(), 0.0f);
  if (!(total > 0)) return -1;
  float target = static_cast<float>(random.uniform()) * total;
  std::int16_t last = -1;
  for (std::size_t e = 0; e < odds.size(); ++e) {
    if (odds[e] <= 0) continue;
    last = static_cast<std::int16_t>(e);
    target -= odds[e];
    if (target < 0) break;
  }
  return last;
}

}  // namespace

ProfileGenerator::ProfileGenerator(RoutingProfile profile, ProfileOptions options)
    : profile_(std::move(profile)), options_(std::move(options)) {
  const auto require = [](bool holds, const std::string& what, const std::string& expected) {
    if (!holds) throw InputError("", 0, "profile generator: " + what, expected);
  };
  if (!options_.lengths.empty()) options_.requests = std::ssize(options_.lengths);
  require(options_.requests >= 1, fmt::format("{} requests", options_.requests), "at least 1");
  constexpr std::int64_t kMostTokens = std::int64_t{1} << 40;
  if (options_.lengths.empty())
    require(options_.prompt_tokens >= 0 && options_.prompt_tokens <= kMostTokens &&
                options_.output_tokens >= 0 && options_.output_tokens <= kMostTokens &&
                options_.prompt_tokens + options_.output_tokens > 0,
            fmt::format("{} prompt and {} output tokens", options_.prompt_tokens, options_.output_tokens),
            "at least one token");
  if (const std::string fault = profile_.fault(); !fault.empty()) require(false, fault, "a fitted profile");

  const auto sharpness = static_cast<float>(profile_.sharpness);
  for (auto& table : profile_.tables)
    for (float& value : table.values) value *= sharpness;
  for (float& value : profile_.tables[RoutingProfile::together].values) value = std::exp(value);
  segment_scores_.resize(
      profile_.latents() == 0 ? 1 : profile_.paths.size() / static_cast<std::size_t>(profile_.latents()));
  scores_.resize(static_cast<std::size_t>(profile_.experts));
}

RequestInfo ProfileGenerator::request(std::int64_t index) const {
  if (index < 0 || index >= options_.requests)
    throw InputError("", 0, fmt::format("profile generator: request {} asked for", index),
                     fmt::format("0 to {}", options_.requests - 1));
  if (!options_.lengths.empty()) return options_.lengths[static_cast<std::size_t>(index)];
  return {options_.prompt_tokens, options_.prompt_tokens, options_.output_tokens};
}

void ProfileGenerator::check_rows(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                                  std::size_t size) const {
  const RequestInfo info = this->request(request);
  const std::int64_t end = info.prefill_rows + info.decode_rows;
  if (first_row < 0 || rows < 0 || rows > end - first_row)
    throw InputError("", 0, fmt::format("profile generator: {} rows from row {} asked for", rows, first_row),
                     fmt::format("rows 0 to {}", end - 1));
  if (size != static_cast<std::size_t>(rows) * static_cast<std::size_t>(layers() * top_k()))
    throw std::logic_error("ProfileGenerator: buffer of another size");
}

ProfileGenerator::Progress ProfileGenerator::begin(std::int64_t request) const {
  Progress fresh{
      Random::stream(options_.seed, "profile", static_cast<std::uint64_t>(request)), nullptr, 0, 0, {}, {}};
  if (!profile_.path.empty()) {
    fresh.path = &profile_.path[fresh.random.below(profile_.path.size())];
    if (profile_.path.size() == 1)
      fresh.start = static_cast<std::int64_t>(
          fresh.random.below(static_cast<std::uint64_t>(fresh.path->prefill + fresh.path->decode)));
  }
  fresh.row.resize(static_cast<std::size_t>(layers() * top_k()));
  fresh.before.resize(fresh.row.size());
  return fresh;
}

void ProfileGenerator::read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                            std::span<std::int16_t> out) {
  check_rows(request, first_row, rows, out.size());
  if (rows == 0) return;
  const RequestInfo info = this->request(request);
  auto at = progress_.find(request);
  if (at == progress_.end() || at->second.next_row > first_row) {
    if (at != progress_.end())
      progress_.erase(at);
    else if (progress_.size() >= kInProgress)
      progress_.erase(progress_.begin());
    at = progress_.emplace(request, begin(request)).first;
  }
  Progress& progress = at->second;
  while (progress.next_row < first_row) advance(progress, info);
  for (; rows > 0; --rows, out = out.subspan(progress.row.size())) {
    advance(progress, info);
    std::copy(progress.row.begin(), progress.row.end(), out.begin());
  }
  if (progress.next_row == info.prefill_rows + info.decode_rows) progress_.erase(at);
}

const float* ProfileGenerator::segment_scores(const Progress& progress, const RequestInfo& info) {
  std::int64_t segment = 0;
  if (progress.path != nullptr) {
    const RoutingProfile::Path& path = *progress.path;
    const bool prompt = progress.next_row < info.prefill_rows;
    const std::int64_t row = prompt ? progress.next_row : progress.next_row - info.prefill_rows;
    const std::int64_t along = row / profile_.segment_tokens + progress.start;
    segment =
        path.first + (prompt && path.prefill > 0 ? along % path.prefill : path.prefill + along % path.decode);
  }
  auto& scores = segment_scores_[static_cast<std::size_t>(segment)];
  if (scores.empty()) {
    const auto experts = static_cast<std::size_t>(profile_.experts);
    scores = profile_.tables[RoutingProfile::base].values;
    const float* z = profile_.paths.data() + segment * profile_.latents();
    for (int layer = 0; layer < layers(); ++layer)
      for (int k = 0; k < profile_.latents(); ++k) {
        const float* u = profile_.row(RoutingProfile::latent, layer, k);
        float* s = scores.data() + static_cast<std::size_t>(layer) * experts;
        for (std::size_t e = 0; e < experts; ++e) s[e] += z[k] * u[e];
      }
  }
  return scores.data();
}

void ProfileGenerator::advance(Progress& progress, const RequestInfo& info) {
  const auto experts = static_cast<std::size_t>(profile_.experts);
  const bool together = profile_.tables[RoutingProfile::together].rows > 0;
  const float* segment = segment_scores(progress, info);
  std::swap(progress.row, progress.before);
  const std::int16_t* before = progress.next_row > 0 ? progress.before.data() : nullptr;
  const std::int64_t decoded = std::max<std::int64_t>(-1, progress.next_row - info.prefill_rows);
  for (int layer = 0; layer < layers(); ++layer) {
    float* s = scores_.data();
    std::copy_n(segment + static_cast<std::size_t>(layer) * experts, experts, s);
    profile_.active(layer, progress.row.data(), before, decoded, active_);
    for (std::size_t i = 1; i < active_.size(); ++i) {  // 0 is the base, which the segment holds
      const float* row = profile_.row(active_[i].part, layer, active_[i].index);
      for (std::size_t e = 0; e < experts; ++e) s[e] += row[e];
    }
    const float most = *std::max_element(scores_.begin(), scores_.end());
    for (std::size_t e = 0; e < experts; ++e) s[e] = exp_below(s[e] - most);
    std::int16_t* chosen = progress.row.data() + layer * top_k();
    for (int rank = 0; rank < top_k(); ++rank) {
      std::int16_t expert = draw(scores_, progress.random);
      if (expert < 0) {  // none of those left had any odds: any of them
        do expert = static_cast<std::int16_t>(progress.random.below(experts));
        while (std::find(chosen, chosen + rank, expert) != chosen + rank);
      }
      chosen[rank] = expert;
      if (together) {
        const float* row = profile_.row(RoutingProfile::together, layer, expert);
        for (std::size_t e = 0; e < experts; ++e) s[e] *= row[e];
      }
      s[expert] = 0;
    }
  }
  ++progress.next_row;
}

void ProfileGenerator::read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                                    std::span<float> out) {
  if (!has_weights()) throw std::logic_error("this routing has no gate weights");
  check_rows(request, first_row, rows, out.size());
  const auto k = static_cast<std::size_t>(top_k());
  const auto samples = static_cast<std::uint64_t>(profile_.weight_samples());
  for (std::int64_t row = 0; row < rows; ++row) {
    // A stream for each token, so that weights may be read without, before or after the experts.
    auto random = Random::stream(options_.seed + static_cast<std::uint64_t>(request) * 0x9e3779b97f4a7c15u,
                                 "weights", static_cast<std::uint64_t>(first_row + row));
    for (int layer = 0; layer < layers(); ++layer, out = out.subspan(k)) {
      const std::size_t sample = static_cast<std::size_t>(layer) * samples + random.below(samples);
      std::copy_n(profile_.weights.begin() + static_cast<std::ptrdiff_t>(sample * k), k, out.begin());
    }
  }
}

std::string ProfileGenerator::description() const {
  return fmt::format("made from a profile of {}{}: {} layers, {} experts, top {}, {} requests{}, seed {}",
                     profile_.model, profile_.marginals_only ? ", popularity alone" : "", layers(), experts(),
                     top_k(), options_.requests,
                     options_.lengths.empty()
                         ? fmt::format(" of {} + {} tokens", options_.prompt_tokens, options_.output_tokens)
                         : "",
                     options_.seed);
}

}  // namespace specmoe
