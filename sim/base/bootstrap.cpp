#include "sim/base/bootstrap.hpp"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "sim/base/statistics.hpp"

namespace specmoe {
namespace {

// sum (m - x_i)^3 / (6 (sum (m - x_i)^2)^1.5) over the statistics x_i without observation i, m their mean (Efron and
// Tibshirani 1993, 14.15).
double acceleration(std::size_t observations, const Statistic& statistic) {
  std::vector<std::size_t> others(observations - 1);
  std::iota(others.begin(), others.end(), std::size_t{1});
  std::vector<double> values;
  for (std::size_t left_out = 0; left_out < observations; ++left_out) {
    if (left_out > 0) others[left_out - 1] = left_out - 1;
    if (const double value = statistic(others); std::isfinite(value)) values.push_back(value);
  }
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  double squares = 0, cubes = 0;
  for (const double value : values) {
    squares += (mean - value) * (mean - value);
    cubes += (mean - value) * (mean - value) * (mean - value);
  }
  return squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0;
}

// The shares of the resampled values between which the interval lies, instead of (1 - confidence) / 2 and the rest.
std::pair<double, double> bca_shares(double tail, const std::vector<double>& values, double value,
                                     double acceleration) {
  const boost::math::normal normal;
  double below = 0;
  for (const double each : values) below += each < value ? 1 : each == value ? 0.5 : 0;
  // Whose resamples all lie on one side has more bias than so many of them can tell.
  const double all = static_cast<double>(values.size());
  const double bias = quantile(normal, std::clamp(below / all, 1 / (all + 1), all / (all + 1)));
  const auto share = [&](double z) {
    z += bias;
    const double left = 1 - acceleration * z;
    if (left <= 0) return z > 0 ? 1.0 : 0.0;
    return cdf(normal, bias + z / left);
  };
  const double z = quantile(normal, tail);
  return {share(z), share(-z)};
}

}  // namespace

Estimate bootstrap(std::size_t observations, const Statistic& statistic, Random random,
                   const BootstrapOptions& options) {
  std::vector<std::size_t> drawn(observations);
  std::iota(drawn.begin(), drawn.end(), std::size_t{0});
  const double value = statistic(drawn);
  const Estimate point{value, value, value, true};
  if (observations < 2 || !std::isfinite(value)) return point;

  std::vector<double> values;
  for (int i = 0; i < options.resamples; ++i) {
    for (std::size_t& each : drawn) each = random.below(observations);
    if (const double resampled = statistic(drawn); std::isfinite(resampled)) values.push_back(resampled);
  }
  if (values.empty()) return point;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  if (*most - *least <= kRounding * std::max(std::abs(*least), std::abs(*most))) return point;

  const double tail = (1 - options.confidence) / 2;
  std::pair<double, double> shares{tail, 1 - tail};
  if (options.kind == IntervalKind::bca)
    shares = bca_shares(tail, values, value, acceleration(observations, statistic));
  return {value, quantile(values, shares.first), quantile(values, shares.second), false};
}

}  // namespace specmoe
