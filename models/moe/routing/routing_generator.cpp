#include "models/moe/routing/routing_generator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "sim/base/input_error.hpp"

namespace specmoe {

// Requests that are read side by side keep their progress (about 3 kB each); beyond these the earliest
// request starts over when it is read again.
static constexpr std::size_t kInProgress = 4096;
// Draws that hit an expert already chosen are repeated; after so many the rest of the layer is searched
// instead.
static constexpr int kRetries = 8;

RoutingGenerator::RoutingGenerator(RoutingOptions options) : options_(std::move(options)) {
  check();
  for (int layer = 0; layer < options_.layers; ++layer) rank_experts(layer);
}

void RoutingGenerator::check() const {
  const auto& o = options_;
  const auto require = [](bool holds, const std::string& what, const std::string& expected) {
    if (!holds) throw InputError("", 0, "routing generator: " + what, expected);
  };
  require(o.layers >= 1 && o.layers <= 10'000, fmt::format("{} layers", o.layers), "1 to 10000");
  require(o.experts >= 1 && o.experts <= 32'767, fmt::format("{} experts", o.experts), "1 to 32767");
  require(o.top_k >= 1 && o.top_k <= o.experts, fmt::format("top_k {}", o.top_k),
          fmt::format("1 to {}", o.experts));
  require(o.groups >= 1 && o.experts % o.groups == 0 && o.groups_kept >= 1 && o.groups_kept <= o.groups &&
              o.top_k <= o.experts / o.groups * o.groups_kept && (o.groups == 1 || !o.counts),
          fmt::format("{} groups of experts, {} of them kept", o.groups, o.groups_kept),
          fmt::format("groups of equal size, with {} experts in those kept, and no counts", o.top_k));
  require(o.requests >= 1, fmt::format("{} requests", o.requests), "at least 1");
  constexpr std::int64_t kMostTokens = std::int64_t{1} << 40;
  require(o.prompt_tokens >= 0 && o.prompt_tokens <= kMostTokens && o.output_tokens >= 0 &&
              o.output_tokens <= kMostTokens && o.prompt_tokens + o.output_tokens > 0,
          fmt::format("{} prompt and {} output tokens", o.prompt_tokens, o.output_tokens),
          "at least one token");
  require(o.zipf >= 0 && o.zipf <= 10, fmt::format("Zipf exponent {}", o.zipf), "0 to 10");
  require(o.reuse >= 0 && o.reuse <= 1, fmt::format("reuse {}", o.reuse), "a probability");
  require(o.correlation >= 0 && o.correlation <= 1, fmt::format("correlation {}", o.correlation),
          "a probability");
  if (!o.counts) return;
  require(std::ssize(*o.counts) == o.layers, fmt::format("counts of {} layers", o.counts->size()),
          fmt::format("{}", o.layers));
  for (std::size_t layer = 0; layer < o.counts->size(); ++layer) {
    const auto& counts = (*o.counts)[layer];
    require(std::ssize(counts) == o.experts,
            fmt::format("layer {}: counts of {} experts", layer, counts.size()),
            fmt::format("{}", o.experts));
    require(std::all_of(counts.begin(), counts.end(), [](auto n) { return n >= 0; }),
            fmt::format("layer {}: a negative count", layer), "0 or more");
    require(std::count_if(counts.begin(), counts.end(), [](auto n) { return n > 0; }) >= o.top_k,
            fmt::format("layer {}: too few experts with a count", layer),
            fmt::format("at least {}", o.top_k));
  }
}

void RoutingGenerator::rank_experts(int layer) {
  const auto count = static_cast<std::size_t>(options_.experts);
  auto random = Random::stream(options_.seed, "popularity", static_cast<std::uint64_t>(layer));
  std::vector<std::int16_t> order(count);
  std::iota(order.begin(), order.end(), std::int16_t{0});
  for (std::size_t i = count; i > 1; --i)
    std::swap(order[i - 1], order[random.below(i)]);  // Fisher and Yates

  std::vector<double> popularity(count);
  if (options_.counts) {
    const auto& counts = (*options_.counts)[static_cast<std::size_t>(layer)];
    std::copy(counts.begin(), counts.end(), popularity.begin());
    std::stable_sort(order.begin(), order.end(), [&](std::int16_t a, std::int16_t b) {
      return counts[static_cast<std::size_t>(a)] > counts[static_cast<std::size_t>(b)];
    });
  } else {
    for (std::size_t i = 0; i < count; ++i)
      popularity[static_cast<std::size_t>(order[i])] = std::pow(static_cast<double>(i + 1), -options_.zipf);
  }
  std::vector<std::int16_t> successor(count);
  if (layer > 0)
    for (std::size_t i = 0; i < count; ++i) successor[static_cast<std::size_t>(order_before_[i])] = order[i];
  successor_.push_back(std::move(successor));
  order_before_ = std::move(order);

  std::vector<double> cumulative(count);
  std::partial_sum(popularity.begin(), popularity.end(), cumulative.begin());
  std::vector<std::int16_t> guide(count);
  for (std::size_t i = 0; i < count; ++i)
    guide[i] = static_cast<std::int16_t>(
        std::upper_bound(cumulative.begin(), cumulative.end() - 1,
                         static_cast<double>(i) / static_cast<double>(count) * cumulative.back()) -
        cumulative.begin());
  guide_.push_back(std::move(guide));
  cumulative_.push_back(std::move(cumulative));
  popularity_.push_back(std::move(popularity));
}

RequestInfo RoutingGenerator::request(std::int64_t index) const {
  if (index < 0 || index >= options_.requests)
    throw InputError("", 0, fmt::format("routing generator: request {} asked for", index),
                     fmt::format("0 to {}", options_.requests - 1));
  return {options_.prompt_tokens, options_.prompt_tokens, options_.output_tokens};
}

void RoutingGenerator::read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                            std::span<std::int16_t> out) {
  const RequestInfo info = this->request(request);
  const std::int64_t end = info.prefill_rows + info.decode_rows;
  if (first_row < 0 || rows < 0 || rows > end - first_row)
    throw InputError("", 0, fmt::format("routing generator: {} rows from row {} asked for", rows, first_row),
                     fmt::format("rows 0 to {}", end - 1));
  const std::size_t row_size =
      static_cast<std::size_t>(options_.layers) * static_cast<std::size_t>(options_.top_k);
  if (out.size() != static_cast<std::size_t>(rows) * row_size)
    throw std::logic_error("RoutingGenerator: buffer of another size");
  if (rows == 0) return;

  auto at = progress_.find(request);
  if (at == progress_.end() || at->second.next_row > first_row) {
    if (at != progress_.end())
      progress_.erase(at);
    else if (progress_.size() >= kInProgress)
      progress_.erase(progress_.begin());
    Progress fresh{Random::stream(options_.seed, "routing", static_cast<std::uint64_t>(request)), 0,
                   std::vector<std::int16_t>(row_size, -1)};
    at = progress_.emplace(request, std::move(fresh)).first;
  }
  Progress& progress = at->second;
  while (progress.next_row < first_row) advance(progress);
  for (; rows > 0; --rows, out = out.subspan(row_size)) {
    advance(progress);
    std::copy(progress.row.begin(), progress.row.end(), out.begin());
  }
  if (progress.next_row == end) progress_.erase(at);
}

void RoutingGenerator::advance(Progress& progress) const {
  const auto k = static_cast<std::size_t>(options_.top_k);
  const std::vector<std::int16_t> before = progress.row;
  for (int layer = 0; layer < options_.layers; ++layer) {
    const std::size_t first = static_cast<std::size_t>(layer) * k;
    for (std::size_t rank = 0; rank < k; ++rank) {
      const auto chosen = std::span(progress.row).subspan(first, rank);
      std::int16_t expert = -1;
      if (progress.next_row > 0 && progress.random.chance(options_.reuse))
        expert = before[first + rank];
      else if (layer > 0 && progress.random.chance(options_.correlation))
        expert = successor_[static_cast<std::size_t>(layer)]
                           [static_cast<std::size_t>(progress.row[first - k + rank])];
      const bool possible =
          expert >= 0 && popularity_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(expert)] > 0;
      if (!possible || refused(chosen, expert)) expert = draw(layer, chosen, progress.random);
      progress.row[first + rank] = expert;
    }
  }
  ++progress.next_row;
}

// Whether a token that has chosen those cannot choose this one: again, or from one group too many.
bool RoutingGenerator::refused(std::span<const std::int16_t> chosen, std::int16_t expert) const {
  if (std::find(chosen.begin(), chosen.end(), expert) != chosen.end()) return true;
  if (options_.groups == 1) return false;
  const int size = options_.experts / options_.groups;
  int opened = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const int group = chosen[i] / size;
    if (group == expert / size) return false;
    const auto same = [&](std::int16_t before) { return before / size == group; };
    if (std::none_of(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(i), same)) ++opened;
  }
  return opened >= options_.groups_kept;
}

// The expert at a share, 0 .. 1, of the layer's popularity: the first whose cumulative popularity is above it.
std::int16_t RoutingGenerator::at(int layer, double share) const {
  const auto& cumulative = cumulative_[static_cast<std::size_t>(layer)];
  const auto& guide = guide_[static_cast<std::size_t>(layer)];
  const double target = share * cumulative.back();
  auto expert =
      static_cast<std::size_t>(guide[static_cast<std::size_t>(share * static_cast<double>(guide.size()))]);
  while (expert > 0 && cumulative[expert - 1] > target) --expert;  // the guide's rounding
  while (expert < cumulative.size() && cumulative[expert] <= target) ++expert;
  return static_cast<std::int16_t>(expert);
}

std::int16_t RoutingGenerator::draw(int layer, std::span<const std::int16_t> chosen, Random& random) const {
  for (int i = 0; i < kRetries; ++i) {
    const std::int16_t expert = at(layer, random.uniform());
    if (expert < options_.experts && !refused(chosen, expert)) return expert;
  }
  const auto& popularity = popularity_[static_cast<std::size_t>(layer)];
  double left = 0;
  for (std::int16_t e = 0; e < options_.experts; ++e)
    if (!refused(chosen, e)) left += popularity[static_cast<std::size_t>(e)];
  double target = random.uniform() * left;
  std::int16_t last = -1;
  for (std::int16_t e = 0; e < options_.experts; ++e) {
    if (refused(chosen, e) || popularity[static_cast<std::size_t>(e)] <= 0) continue;
    last = e;
    target -= popularity[static_cast<std::size_t>(e)];
    if (target < 0) break;
  }
  if (last < 0) throw std::logic_error("routing generator: fewer experts to draw from than ranks");
  return last;
}

std::string RoutingGenerator::description() const {
  const auto& o = options_;
  return fmt::format(
      "generated: {} layers, {} experts, top {}, {} requests of {} + {} tokens, {}, reuse {}, correlation "
      "{}, "
      "seed {}",
      o.layers, o.experts, o.top_k, o.requests, o.prompt_tokens, o.output_tokens,
      o.counts ? "popularity as counted" : fmt::format("Zipf {}", o.zipf), o.reuse, o.correlation, o.seed);
}

}  // namespace specmoe
