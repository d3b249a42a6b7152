#include "sim/base/comparison.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "tests/approx.hpp"

using namespace specmoe;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Darwin's maize, crossed less self-fertilised, in eighths of an inch (Fisher 1935, section 17).
const std::vector<double> kMaize{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48};

std::vector<double> zeros(std::size_t n) { return std::vector<double>(n); }
std::vector<double> zeros(const std::vector<double>& like) { return zeros(like.size()); }

// p of differences.
double wilcoxon(const std::vector<double>& differences) {
  return wilcoxon_signed_rank(differences, zeros(differences));
}

}  // namespace

TEST_CASE("comparison: Student's t of Darwin's maize is Fisher's") {
  CHECK(paired_t_test(kMaize, zeros(kMaize)) == approx(0.0497).epsilon(0.001));  // t = 2.148, 14 degrees
  CHECK(paired_t_test(zeros(kMaize), kMaize) == paired_t_test(kMaize, zeros(kMaize)));
  // One degree of freedom is Cauchy's: differences 1 and 3, t = 2 / 1, p = 1 - 2 atan(2) / pi.
  CHECK(paired_t_test(std::vector{2., 4.}, std::vector{1., 1.}) == approx(1 - 2 * std::atan(2) / M_PI));
}

TEST_CASE("comparison: Wilcoxon's test counts the signs that give as low a sum of ranks") {
  CHECK(wilcoxon({1, 2, 3, 4, 5}) == 2 * 1 / 32.0);
  CHECK(wilcoxon({-1, 2, 3, 4, 5}) == 2 * 2 / 32.0);  // sums 0 and 1
  CHECK(wilcoxon({1, 2, -3, 4, 5}) == 2 * 5 / 32.0);  // 0, 1, 2, 3 = 3 and 1 + 2
  CHECK(wilcoxon({-1, -2, -3, -4, -5}) == 2 * 1 / 32.0);
  CHECK(wilcoxon({1, -2, -1, 2}) == 1);
  // Ranks of the negative ones: 3 (8th to be 14), 14 and 10: 24; 676 of 2^15 signs give as little.
  CHECK(wilcoxon(kMaize) == 2 * 676 / 32768.0);
}

TEST_CASE("comparison: Wilcoxon's ties share their ranks, and pairs without a difference are left out") {
  CHECK(wilcoxon({1, -1, 2}) == 2 * 3 / 8.0);  // ranks 1.5, 1.5, 3: none, or either of the two
  CHECK(wilcoxon({0, 1, -1, 0, 2}) == 2 * 3 / 8.0);
  CHECK(wilcoxon({0.3 - 0.2, 0.1 - 0.2, 2}) == 2 * 3 / 8.0);  // ties but for rounding
  CHECK(wilcoxon({0, 0}) == 1);
  CHECK(std::isnan(wilcoxon({1, kNaN, 2})));
}

TEST_CASE("comparison: Wilcoxon's test of many pairs is the normal distribution's, and near the exact one") {
  // 60 pairs, negative ranks 1 to 34 and 48: 643. Mean 915, deviation sqrt(60 x 61 x 121 / 24) = 135.84:
  // (643.5 - 915) / 135.84 = -1.9987, p = 0.04564.
  std::vector<double> differences;
  for (int i = 1; i <= 60; ++i) differences.push_back(i <= 34 || i == 48 ? -i : i);
  CHECK(wilcoxon(differences) == approx(0.04564).epsilon(0.001));
  // All of one size: ranks of 30.5; variance 18452.5 - (60^3 - 60) / 48 = 13953.75 = 60 x 30.5^2 / 4, 40 up, 20 down:
  // (610.5 - 915) / 118.13 = -2.5778, p = 0.00994.
  std::vector<double> equal(60, 1.0);
  for (std::size_t i = 0; i < 20; ++i) equal[i] = -1;
  CHECK(wilcoxon(equal) == approx(0.00994).epsilon(0.001));
  // All 100,000 of one size, half of them negative: the sum is the mean.
  std::vector<double> many(100'000, 1.0);
  for (std::size_t i = 0; i < 50'000; ++i) many[i] = -1;
  CHECK(wilcoxon(many) == 1);
  // The last exact one, ranks 1 to 29 negative, sum 435; mean 637.5, deviation 103.59: normal p = 0.0512.
  differences.clear();
  for (int i = 1; i <= 50; ++i) differences.push_back(i <= 29 ? -i : i);
  CHECK(wilcoxon(differences) == approx(0.0512).epsilon(0.02));
}

TEST_CASE("comparison: the interval of a noncentrality is the published one") {
  // conf.limits.nct of the R package MBESS (Kelley 2007): its example, t = 2.83 at 126 degrees.
  const auto [low, high] = noncentrality_interval(2.83, 126);
  CHECK(low == approx(0.8337502).epsilon(1e-6));
  CHECK(high == approx(4.815359).epsilon(1e-6));
  CHECK(noncentrality_interval(-2.83, 126) == std::pair(-high, -low));
  // A t of 0 is a normal variable of 0: 1.959964 either way, whatever the degrees.
  CHECK(noncentrality_interval(0, 3).first == approx(-1.959964).epsilon(1e-6));
  CHECK(noncentrality_interval(0, 3).second == approx(1.959964).epsilon(1e-6));
}

TEST_CASE("comparison: far out, the interval of a noncentrality grows with t") {
  // There t is the noncentrality over sqrt(chi^2 / 2): with two degrees chi^2 / 2 is exponential, and its 2.5 and
  // 97.5 % are 0.025318 and 3.688879, whose roots are 0.159116 and 1.920646.
  for (const double t : {900.0, 1100.0, 1e9}) {
    CHECK(noncentrality_interval(t, 2).first == approx(0.159116 * t).epsilon(1e-4));
    CHECK(noncentrality_interval(t, 2).second == approx(1.920646 * t).epsilon(1e-4));
  }
}

TEST_CASE("comparison: Hedges' g is the mean difference in standard deviations, corrected for few pairs") {
  // Both have variance 2.5; differences 2 0 2 0 1: mean 1, variance 1, t = sqrt(5). Correction at 4 degrees:
  // Gamma(2) / (sqrt(2) Gamma(1.5)) = sqrt(2 / pi).
  const std::vector<double> a{3, 2, 5, 4, 6}, b{1, 2, 3, 4, 5};
  const Estimate g = hedges_g(a, b);
  CHECK(g.value == approx(std::sqrt(2 / M_PI) / std::sqrt(2.5)));
  const auto [low, high] = noncentrality_interval(std::sqrt(5), 4);
  CHECK(g.low == approx(low / std::sqrt(5) / std::sqrt(2.5)));
  CHECK(g.high == approx(high / std::sqrt(5) / std::sqrt(2.5)));
  CHECK_FALSE(g.degenerate);
  CHECK(hedges_g(b, a).value == -g.value);
  CHECK(hedges_g(b, a).high == -g.low);
}

TEST_CASE("comparison: the 95 % interval of Hedges' g holds the true effect in 95 of 100 studies") {
  // Pairs share half of their variance: a = 0.8 + (x + y) / sqrt(2), b = (x + z) / sqrt(2). True effect 0.8.
  constexpr int kStudies = 2000;
  Random random(3);
  const auto normal = [&] {  // Box and Muller
    return std::sqrt(-2 * std::log1p(-random.uniform())) * std::cos(2 * M_PI * random.uniform());
  };
  int held = 0;
  double sum = 0;
  for (int study = 0; study < kStudies; ++study) {
    std::vector<double> a, b;
    for (int pair = 0; pair < 10; ++pair) {
      const double x = normal();
      a.push_back(0.8 + (x + normal()) / std::sqrt(2));
      b.push_back((x + normal()) / std::sqrt(2));
    }
    const Estimate g = hedges_g(a, b);
    held += g.low <= 0.8 && 0.8 <= g.high;
    sum += g.value;
  }
  MESSAGE("held of 2000: ", held, ", mean ", sum / kStudies);
  CHECK(held > 0.93 * kStudies);
  CHECK(held < 0.97 * kStudies);
  CHECK(sum / kStudies == approx(0.8).epsilon(0.05));
}

TEST_CASE("comparison: without variance there is no effect size and no t test, and never an infinite one") {
  const std::vector<double> b{1, 2, 4}, shifted{2, 3, 5}, constant{7, 7, 7}, rounded{7 + 1e-12, 7, 7};
  for (const auto& [x, y] : {std::pair(shifted, b), std::pair(b, b), std::pair(constant, zeros(3)),
                             std::pair(rounded, zeros(3)), std::pair(std::vector{1.}, std::vector{2.})}) {
    const PairedComparison compared = compare_paired(x, y, Random(1));
    CHECK(compared.difference.degenerate);
    CHECK(compared.difference.low == doctest::Approx(x[0] - y[0]));
    CHECK(compared.difference.high == doctest::Approx(x[0] - y[0]));
    CHECK(std::isnan(compared.t_test_p));
    CHECK(compared.hedges_g.degenerate);
    for (const double number : {compared.hedges_g.value, compared.hedges_g.low, compared.hedges_g.high})
      CHECK(std::isnan(number));
  }
  // Two pairs have differences that vary, but no correction: Gamma(0).
  CHECK(hedges_g(std::vector{1., 3.}, std::vector{0., 0.}).degenerate);
}

TEST_CASE("comparison: pairs over the same seeds tell a difference that their spread would hide") {
  // Ten seeds differ by a hundred; a is b plus 1 or 2.
  std::vector<double> a, b;
  for (int seed = 0; seed < 10; ++seed) {
    b.push_back(100 + 10 * seed);  // mean 145
    a.push_back(b.back() + 1 + seed % 2);
  }
  const PairedComparison compared = compare_paired(a, b, Random(1));
  CHECK(compared.difference.value == approx(1.5));
  CHECK(compared.difference.low >= 1);
  CHECK(compared.difference.low < 1.5);
  CHECK(compared.difference.high > 1.5);
  CHECK(compared.difference.high <= 2);
  CHECK(compared.ratio.value == approx(146.5 / 145));
  CHECK(compared.ratio.low > 1);
  CHECK(compared.ratio.high < 1.02);  // no pair is above 102 / 100
  CHECK(compared.t_test_p < 1e-5);    // t = 1.5 / (0.527 / sqrt(10)) = 9; 9 degrees
  CHECK(compared.wilcoxon_p == 2 / 1024.0);
  // 1.5 / 30.28 x 0.914: small against what seeds do.
  CHECK(compared.hedges_g.value == approx(0.0453).epsilon(0.01));
  CHECK_THROWS_AS(compare_paired(a, std::vector{1., 2.}, Random(1)), std::logic_error);
}

TEST_CASE(
    "comparison: Holm multiplies the smallest by all, the next by one less, and never goes down again") {
  // 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, which is less than the 0.06 before it.
  const std::vector<double> adjusted = holm(std::vector{0.01, 0.04, 0.03, 0.005});
  const double expected[] = {0.03, 0.06, 0.06, 0.02};
  for (std::size_t i = 0; i < 4; ++i) CHECK(adjusted[i] == approx(expected[i]));
  CHECK(holm(std::vector{0.6, 0.9}) == std::vector{1.0, 1.0});
  CHECK(holm({}).empty());
}

TEST_CASE("comparison: Holm does not count what was not tested") {
  const std::vector<double> adjusted = holm(std::vector{0.01, kNaN, 0.04});
  CHECK(adjusted[0] == approx(0.02));
  CHECK(std::isnan(adjusted[1]));
  CHECK(adjusted[2] == approx(0.04));
}
