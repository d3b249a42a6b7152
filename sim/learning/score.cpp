#include "sim/learning/score.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "sim/base/random.hpp"

namespace specmoe {
namespace {

// Percentiles: those are what the published tables hold.
const BootstrapOptions kIntervals{IntervalKind::percentile, 1000};
// Counters of a place: rows, true experts, first guesses that were right; then by budget.
constexpr std::size_t kRows = 0, kTruth = 1, kTop1 = 2, kBudgets = 3;

std::size_t index_of(const std::vector<int>& budgets, int budget) {
  const auto found = std::find(budgets.begin(), budgets.end(), budget);
  return static_cast<std::size_t>(found - budgets.begin());
}

double quotient(double right, double of) {
  return of > 0 ? right / of : std::numeric_limits<double>::quiet_NaN();
}

// Each draw is the same for all that have as many requests.
Random resampling(std::uint64_t seed) { return Random::stream(seed, "bootstrap"); }

}  // namespace

Score::Score(const LearningData& data, ScoreOptions options)
    : layers_(data.layers),
      experts_(data.experts),
      top_k_(data.top_k),
      ranks_(prediction_ranks(data.experts, data.top_k)),
      decode_only_(options.decode_only),
      recall_at_(std::move(options.budgets)) {
  recall_at_.push_back(top_k_);
  std::sort(recall_at_.begin(), recall_at_.end());
  recall_at_.erase(std::unique(recall_at_.begin(), recall_at_.end()), recall_at_.end());
  std::erase_if(recall_at_, [&](int budget) { return budget < 1 || budget > ranks_; });
  for (int times = 1; times <= 3; ++times)
    if (times * top_k_ <= ranks_) coverage_at_.push_back(times * top_k_);
}

void Score::add(const LearningData& data, int request, const Predictions& predictions) {
  const auto& of = data.requests.at(static_cast<std::size_t>(request));
  if (data.layers != layers_ || data.experts != experts_ || data.top_k != top_k_ ||
      predictions.rows != of.rows || predictions.layers != layers_ || predictions.ranks != ranks_)
    throw std::logic_error("Score: predictions of another shape");
  const std::size_t counters = kBudgets + recall_at_.size() + coverage_at_.size();
  auto& counts = counts_.emplace_back(static_cast<std::size_t>(kDistances * layers_) * counters);
  auto& bins = bins_.emplace_back();
  requests_.push_back(request);
  std::vector<bool> is_true(static_cast<std::size_t>(experts_));
  std::vector<std::int64_t> right(static_cast<std::size_t>(ranks_) + 1);  // among the first ..
  for (std::int64_t row = decode_only_ ? of.prefill_rows : 0; row < of.rows; ++row)
    for (int layer = 0; layer < layers_; ++layer)
      for (int distance = 1; distance <= kDistances; ++distance) {
        const TargetLayer target = target_layer(layers_, layer, distance);
        const std::int64_t target_row = row + target.next_row;
        if (target.layer < 0 || target_row >= of.rows) continue;
        const auto truth = data.chosen_at(of.first_row + target_row, target.layer);
        std::int64_t wanted = 0;
        std::fill(is_true.begin(), is_true.end(), false);
        for (const std::int16_t expert : truth)
          if (expert >= 0) {
            is_true[static_cast<std::size_t>(expert)] = true;
            ++wanted;
          }
        if (wanted == 0) continue;
        const auto named = predictions.experts_at(row, layer, distance);
        const auto confidence = predictions.confidence_at(row, layer, distance);
        for (std::size_t rank = 0; rank < named.size(); ++rank) {
          const bool hit = is_true[static_cast<std::size_t>(named[rank])];
          right[rank + 1] = right[rank] + hit;
          const float sure = std::clamp(confidence[rank], 0.0F, 1.0F);
          Bin& bin = bins[static_cast<std::size_t>(distance - 1)]
                         [std::min<std::size_t>(9, static_cast<std::size_t>(sure * 10))];
          ++bin.guesses;
          bin.right += hit;
          bin.confidence += sure;
        }
        std::int64_t* count =
            &counts[static_cast<std::size_t>((distance - 1) * layers_ + target.layer) * counters];
        ++count[kRows];
        count[kTruth] += wanted;
        count[kTop1] += right[1];
        std::int64_t* by_budget = count + kBudgets;
        for (const int budget : recall_at_) *by_budget++ += right[static_cast<std::size_t>(budget)];
        for (const int budget : coverage_at_)
          *by_budget++ += right[static_cast<std::size_t>(budget)] == wanted;
      }
}

Score Score::only(std::span<const int> requests) const {
  Score out = *this;
  out.requests_.clear();
  out.counts_.clear();
  out.bins_.clear();
  for (const int request : requests) {
    const auto found = std::find(requests_.begin(), requests_.end(), request);
    if (found == requests_.end()) throw std::logic_error("Score: asked for a request that was not scored");
    const auto at = static_cast<std::size_t>(found - requests_.begin());
    out.requests_.push_back(request);
    out.counts_.push_back(counts_[at]);
    out.bins_.push_back(bins_[at]);
  }
  return out;
}

Score::Share Score::share(std::size_t request, const Metric& metric, const Where& where) const {
  const std::size_t counters = kBudgets + recall_at_.size() + coverage_at_.size();
  const int budget = metric.budget == 0 ? top_k_ : metric.budget;
  std::size_t right = kTop1, of = kRows;
  if (metric.kind == Metric::Kind::recall) {
    const std::size_t at = index_of(recall_at_, budget);
    if (at == recall_at_.size()) return {};
    right = kBudgets + at;
    of = kTruth;
  } else if (metric.kind == Metric::Kind::coverage) {
    const std::size_t at = index_of(coverage_at_, budget);
    if (at == coverage_at_.size()) return {};
    right = kBudgets + recall_at_.size() + at;
  }
  const int first_of_token = std::min(where.distance, layers_);
  int first = where.next_token ? 0 : first_of_token, end = where.next_token ? first_of_token : layers_;
  if (where.layer >= 0) first = where.layer, end = where.layer + 1;
  Share out;
  for (int layer = first; layer < end; ++layer) {
    const std::int64_t* count =
        &counts_[request][static_cast<std::size_t>((where.distance - 1) * layers_ + layer) * counters];
    out.right += count[right];
    out.of += count[of];
  }
  return out;
}

std::vector<Score::Share> Score::shares(const Metric& metric, const Where& where) const {
  std::vector<Share> out;
  for (std::size_t i = 0; i < counts_.size(); ++i) out.push_back(share(i, metric, where));
  return out;
}

namespace {

template <class Shares>
double pooled(const Shares& shares, std::span<const std::size_t> drawn) {
  std::int64_t right = 0, of = 0;
  for (const std::size_t i : drawn) {
    right += shares[i].right;
    of += shares[i].of;
  }
  return quotient(static_cast<double>(right), static_cast<double>(of));
}

}  // namespace

double Score::value(const Metric& metric, const Where& where) const {
  Share sum;
  for (const Share& share : shares(metric, where)) {
    sum.right += share.right;
    sum.of += share.of;
  }
  return quotient(static_cast<double>(sum.right), static_cast<double>(sum.of));
}

std::int64_t Score::rows(const Where& where) const {
  std::int64_t rows = 0;
  for (const Share& share : shares({Metric::Kind::top1}, where)) rows += share.of;
  return rows;
}

Estimate Score::estimate(const Metric& metric, const Where& where, std::uint64_t seed) const {
  const auto of = shares(metric, where);
  return bootstrap(
      of.size(), [&](auto drawn) { return pooled(of, drawn); }, resampling(seed), kIntervals);
}

std::pair<std::vector<Score::Share>, std::vector<Score::Share>> Score::paired(const Score& score,
                                                                              const Score& base,
                                                                              const Metric& metric,
                                                                              const Where& where) {
  if (score.requests_ != base.requests_) throw std::logic_error("Score: different requests compared");
  return {score.shares(metric, where), base.shares(metric, where)};
}

Estimate ratio(const Score& score, const Score& base, const Metric& metric, const Where& where,
               std::uint64_t seed) {
  const auto [a, b] = Score::paired(score, base, metric, where);
  return bootstrap(
      a.size(), [&a = a, &b = b](auto drawn) { return quotient(pooled(a, drawn), pooled(b, drawn)); },
      resampling(seed), kIntervals);
}

Estimate difference(const Score& score, const Score& base, const Metric& metric, const Where& where,
                    std::uint64_t seed) {
  const auto [a, b] = Score::paired(score, base, metric, where);
  return bootstrap(
      a.size(), [&a = a, &b = b](auto drawn) { return pooled(a, drawn) - pooled(b, drawn); },
      resampling(seed), kIntervals);
}

std::array<Score::Bin, 10> Score::reliability(int distance) const {
  std::array<Bin, 10> out{};
  for (const auto& request : bins_)
    for (std::size_t i = 0; i < out.size(); ++i) {
      const Bin& bin = request[static_cast<std::size_t>(distance - 1)][i];
      out[i].guesses += bin.guesses;
      out[i].right += bin.right;
      out[i].confidence += bin.confidence;
    }
  return out;
}

double Score::calibration_error(int distance) const {
  double error = 0, guesses = 0;
  for (const Bin& bin : reliability(distance)) {
    error += std::abs(bin.confidence - static_cast<double>(bin.right));
    guesses += static_cast<double>(bin.guesses);
  }
  return quotient(error, guesses);
}

Score score_guesser(Guesser& guesser, const LearningData& data, std::span<const int> requests,
                    const ScoreOptions& options) {
  Score out(data, options);
  std::vector<float> scores;
  for (const int request : requests) {
    guesser.score(data, request, scores);
    out.add(data, request, rank_scores(data, request, scores));
  }
  return out;
}

}  // namespace specmoe
