// Is a different from b, and by how much? Of values measured in pairs, such as two strategies over the same seeds.
#pragma once
#include <span>
#include <utility>
#include <vector>

#include "sim/base/bootstrap.hpp"

namespace specmoe {

/// All tests are two-sided. What needs a variance and finds none is NaN, never infinite.
struct PairedComparison {
  Estimate difference;  // mean of a - b
  Estimate ratio;       // mean of a over mean of b
  double t_test_p;
  double wilcoxon_p;
  Estimate hedges_g;
};

/// Everything of one pair of samples, intervals by bootstrap over the pairs, that of g by its distribution.
/// @param a,b one value a seed, in the same order @throws std::logic_error if they are not as many
PairedComparison compare_paired(std::span<const double> a, std::span<const double> b, Random random,
                                const BootstrapOptions& options = {});

/// p value of Student's paired t test; NaN of fewer than two pairs and of differences that do not vary.
double paired_t_test(std::span<const double> a, std::span<const double> b);

/// p value of Wilcoxon's signed-rank test, which asks no normal distribution: exact up to 50 pairs that differ, ties
/// included, above that by the normal distribution with corrections for ties and continuity. Pairs without a difference
/// are left out, as by Wilcoxon (1945); 1 where none is left, NaN of numbers that are not finite. Six pairs can reach
/// 0.031, five only 0.063.
double wilcoxon_signed_rank(std::span<const double> a, std::span<const double> b);

/// The mean difference in standard deviations of a value: g_av, which is (mean a - mean b) / sqrt((s_a^2 + s_b^2) / 2)
/// times Hedges' exact correction for small samples (1981) at n - 1 degrees of freedom (Cumming 2012). Against the
/// spread of the values and not of the differences (d_z = t / sqrt(n)), since common seeds make that as small as they
/// have in common. Interval of the true effect through the noncentral t (Algina and Keselman 2003), which needs no
/// correction. Degenerate, and all NaN: fewer than three pairs, or values or differences that do not vary.
Estimate hedges_g(std::span<const double> a, std::span<const double> b, double confidence = 0.95);

/// The noncentralities of which a t as high, and as low, as this one has a chance of (1 - confidence) / 2 (Steiger and
/// Fouladi 1997). @param degrees of freedom, at least 1
std::pair<double, double> noncentrality_interval(double t, double degrees, double confidence = 0.95);

/// Holm's step-down correction (1979) of p values that are judged together, in their order: comparing each with 0.05
/// keeps the chance of any false finding among them below 0.05. NaN stays, and does not count: nothing was tested.
std::vector<double> holm(std::span<const double> p_values);

}  // namespace specmoe
