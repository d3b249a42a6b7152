// Intervals of any statistic by drawing observations again and again: means, pooled ratios, paired comparisons.
#pragma once
#include <cstddef>
#include <functional>
#include <span>

#include "sim/base/random.hpp"

namespace specmoe {

/// A value and its interval, in the value's unit; NaN of nothing.
struct Estimate {
  double value = 0, low = 0, high = 0;
  /// There is no spread to make an interval of: fewer than two observations, or they do not vary. Whoever shows the
  /// interval should say so.
  bool degenerate = false;
};

enum class IntervalKind {
  bca,         // bias-corrected and accelerated
  percentile,  // quantiles of the resampled values as they are
};

/// How an interval is made.
struct BootstrapOptions {
  IntervalKind kind = IntervalKind::bca;
  int resamples = 2000;
  double confidence = 0.95;
};

/// A number made of the observations with these indices, each of which may occur any number of times. One number an
/// observation is the usual case, but whatever can be pooled will do. Not finite where it means nothing.
using Statistic = std::function<double(std::span<const std::size_t>)>;

/// The statistic of all observations, each once, and its interval by resamples of as many, drawn with replacement;
/// those for which it is not finite are left out. Degenerate: the interval is the value. The BCa interval (Efron 1987;
/// Efron and Tibshirani 1993, 14.3; acceleration from the jackknife) corrects for the statistic's bias and skewness,
/// which matter most where observations are few; under about ten, any bootstrap's interval is too short.
/// @param random taken by value: equal ones draw the same observations, so that statistics can be compared
Estimate bootstrap(std::size_t observations, const Statistic& statistic, Random random,
                   const BootstrapOptions& options = {});

}  // namespace specmoe
