#include "sim/base/comparison.hpp"

#include <algorithm>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/math/tools/toms748_solve.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "sim/base/statistics.hpp"

namespace specmoe {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double mean_of(std::span<const double> values, std::span<const std::size_t> drawn) {
  double sum = 0;
  for (const std::size_t i : drawn) sum += values[i];
  return sum / static_cast<double>(drawn.size());
}

double variance_of(std::span<const double> values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return squares / static_cast<double>(values.size() - 1);
}

// a - b; 0 where rounding makes all the difference.
struct Differences {
  Differences(std::span<const double> a, std::span<const double> b) {
    if (a.size() != b.size()) throw std::logic_error("paired comparison of samples of different sizes");
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double difference = a[i] - b[i], size = std::max(std::abs(a[i]), std::abs(b[i]));
      largest = std::max(largest, size);
      finite = finite && std::isfinite(difference);
      values.push_back(finite && std::abs(difference) <= kRounding * size ? 0 : difference);
    }
  }
  bool vary(double variance) const { return std::sqrt(variance) > kRounding * largest; }

  std::vector<double> values;
  double largest = 0;  // of the values compared, without sign
  bool finite = true;
};

double t_of(std::span<const double> differences, double variance) {
  return mean_of(differences) / std::sqrt(variance / static_cast<double>(differences.size()));
}

// Chance that the ranks of those that happen to be negative add up to `sum` or less, each being so with 1/2. Ranks are
// doubled, which makes those of ties whole numbers.
double chance_of_rank_sum(const std::vector<int>& ranks, int sum) {
  std::vector<double> chance(static_cast<std::size_t>(sum) + 1);
  chance[0] = 1;
  for (const int rank : ranks)
    for (int s = sum; s >= 0; --s) {
      const auto at = static_cast<std::size_t>(s);
      chance[at] = (chance[at] + (s >= rank ? chance[at - static_cast<std::size_t>(rank)] : 0)) / 2;
    }
  return std::accumulate(chance.begin(), chance.end(), 0.0);
}

}  // namespace

PairedComparison compare_paired(std::span<const double> a, std::span<const double> b, Random random,
                                const BootstrapOptions& options) {
  const Differences differences(a, b);
  PairedComparison out{
      bootstrap(
          a.size(), [&](auto drawn) { return mean_of(differences.values, drawn); }, random, options),
      bootstrap(
          a.size(), [&](auto drawn) { return mean_of(a, drawn) / mean_of(b, drawn); }, random, options),
      paired_t_test(a, b), wilcoxon_signed_rank(a, b), hedges_g(a, b, options.confidence)};
  // Against the values: the rounding of a small difference of large numbers is large against the difference.
  out.difference.degenerate = std::isnan(out.t_test_p);
  return out;
}

double paired_t_test(std::span<const double> a, std::span<const double> b) {
  const Differences differences(a, b);
  if (a.size() < 2) return kNaN;
  const double variance = variance_of(differences.values);
  if (!differences.vary(variance)) return kNaN;
  const boost::math::students_t distribution(static_cast<double>(a.size() - 1));
  return 2 * cdf(complement(distribution, std::abs(t_of(differences.values, variance))));
}

double wilcoxon_signed_rank(std::span<const double> a, std::span<const double> b) {
  auto [differences, largest, finite] = Differences(a, b);
  if (!finite) return kNaN;
  std::erase(differences, 0.0);
  if (differences.empty()) return 1;
  std::sort(differences.begin(), differences.end(),
            [](double x, double y) { return std::abs(x) < std::abs(y); });
  const int n = static_cast<int>(differences.size());
  const auto size = [&all = differences](int i) { return std::abs(all[static_cast<std::size_t>(i)]); };
  const double rounding = kRounding * largest;
  std::vector<int> ranks;  // doubled; ties share the mean of theirs
  double ties = 0;         // sum of t^3 - t
  std::int64_t negative = 0;
  for (int first = 0, end = 0; first < n; first = end) {
    while (end < n && size(end) - size(first) <= rounding) ++end;
    const int tied = end - first;
    ties += std::pow(tied, 3) - tied;
    for (int i = first; i < end; ++i) {
      ranks.push_back(first + 1 + end);
      if (differences[static_cast<std::size_t>(i)] < 0) negative += ranks.back();
    }
  }
  const std::int64_t all = std::int64_t{n} * (n + 1), smaller = std::min(negative, all - negative);
  constexpr int kExact = 50;
  if (n <= kExact) return std::min(1.0, 2 * chance_of_rank_sum(ranks, static_cast<int>(smaller)));
  // Mean n (n + 1) / 4; variance n (n + 1) (2 n + 1) / 24 - sum (t^3 - t) / 48 (Hollander and Wolfe 1999, 3.1).
  const double sum = static_cast<double>(all), deviation = std::sqrt(sum * (2.0 * n + 1) / 24 - ties / 48);
  const double low = static_cast<double>(smaller) / 2 + 0.5;
  return std::min(1.0, 2 * cdf(boost::math::normal(sum / 4, deviation), low));
}

std::pair<double, double> noncentrality_interval(double t, double degrees, double confidence) {
  if (t < 0) {
    const auto [low, high] = noncentrality_interval(-t, degrees, confidence);
    return {-high, -low};
  }
  // So far out both grow as t does (within 1e-4), and Boost's series ends at about 1e4.
  if (constexpr double kFar = 1000; t > kFar) {
    const auto [low, high] = noncentrality_interval(kFar, degrees, confidence);
    return {low * t / kFar, high * t / kFar};
  }
  // The chance of a lower t falls as the noncentrality grows; steps away from t, each twice the last, enclose the root.
  const auto solve = [&](double chance) {
    const auto excess = [&](double noncentrality) {
      return cdf(boost::math::non_central_t(degrees, noncentrality), t) - chance;
    };
    double low = t, high = t;
    for (double step = 1; excess(low) < 0; step *= 2) low = t - step;
    for (double step = 1; excess(high) > 0; step *= 2) high = t + step;
    std::uintmax_t tries = 100;
    const auto root = boost::math::tools::toms748_solve(excess, low, high,
                                                        boost::math::tools::eps_tolerance<double>(40), tries);
    return (root.first + root.second) / 2;
  };
  const double tail = (1 - confidence) / 2;
  return {solve(1 - tail), solve(tail)};
}

Estimate hedges_g(std::span<const double> a, std::span<const double> b, double confidence) {
  const Differences differences(a, b);
  const Estimate none{kNaN, kNaN, kNaN, true};
  if (a.size() < 3) return none;
  const double spread = (variance_of(a) + variance_of(b)) / 2, variance = variance_of(differences.values);
  if (!differences.vary(variance) || !differences.vary(spread)) return none;
  const double n = static_cast<double>(a.size()), degrees = n - 1;
  // Gamma(m / 2) / (sqrt(m / 2) Gamma((m - 1) / 2)) of m degrees of freedom.
  const double correction =
      1 / (std::sqrt(degrees / 2) * boost::math::tgamma_delta_ratio((degrees - 1) / 2, 0.5));
  const double t = t_of(differences.values, variance);
  const double effect_per_t = std::sqrt(variance / n / spread);
  const auto [low, high] = noncentrality_interval(t, degrees, confidence);
  return {correction * effect_per_t * t, effect_per_t * low, effect_per_t * high, false};
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<double> out(p_values.begin(), p_values.end());
  std::vector<double*> order;
  for (double& p : out)
    if (!std::isnan(p)) order.push_back(&p);
  std::sort(order.begin(), order.end(), [](const double* x, const double* y) { return *x < *y; });
  double least = 0;
  for (std::size_t i = 0; i < order.size(); ++i)
    *order[i] = least = std::max(least, std::min(1.0, *order[i] * static_cast<double>(order.size() - i)));
  return out;
}

}  // namespace specmoe
