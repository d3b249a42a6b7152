#include "sim/base/random.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <set>
#include <string>

using namespace specmoe;

TEST_CASE("random: the generator is the one of the standard") {
  Random random(5489);
  std::uint64_t last = 0;
  for (int i = 0; i < 10'000; ++i) last = random.bits();
  CHECK(last == 9981545732273789042u);  // [rand.predef]: the 10000th value of mt19937_64
}

TEST_CASE("random: the first values of a stream never change") {
  // Recorded once. A change here changes every seeded result, so it belongs into the changelog.
  Random bits = Random::stream(1, "gate");
  CHECK(bits.bits() == 18327883038533127670u);
  CHECK(bits.bits() == 15380657288532994103u);
  CHECK(Random::stream(1, "gate", 7).bits() == 17705688686267407959u);
  CHECK(Random::stream(0, "").bits() == 8892643065069030078u);
  Random numbers = Random::stream(1, "gate");
  CHECK(numbers.uniform() == static_cast<double>(18327883038533127670u >> 11) / 9007199254740992.0);  // 2^53
  CHECK(numbers.below(1000) == 103u);  // 15380657288532994103 mod 1000
}

TEST_CASE("random: seed, name and index each make another stream, equal ones the same") {
  std::set<std::uint64_t> firsts;
  int streams = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    for (const char* name : {"", "a", "b", "ab", "ba", "aa"})
      for (std::uint64_t index = 0; index < 10; ++index, ++streams)
        firsts.insert(Random::stream(seed, name, index).bits());
  CHECK(std::ssize(firsts) == streams);
  CHECK(Random::stream(3, "ab", 4).bits() == Random::stream(3, std::string("ab"), 4).bits());
}

TEST_CASE("random: neighbouring streams do not follow each other") {
  Random a = Random::stream(1, "x", 0), b = Random::stream(1, "x", 1);
  double sum = 0;
  constexpr int n = 10'000;
  for (int i = 0; i < n; ++i) sum += (a.uniform() - 0.5) * (b.uniform() - 0.5);
  // Of independent ones the mean product is 0 with a deviation of 1/12 / sqrt(10000) = 0.00083.
  CHECK(std::abs(sum / n) < 4 * 0.00083);
}

TEST_CASE("random: below is uniform") {
  Random random(1);
  std::array<double, 10> counts{};
  constexpr int n = 100'000;
  for (int i = 0; i < n; ++i) ++counts.at(random.below(10));
  double chi_square = 0;
  for (const double count : counts) chi_square += (count - n / 10.0) * (count - n / 10.0) / (n / 10.0);
  CHECK(chi_square < 27.9);  // 0.1 % of 9 degrees of freedom
  CHECK(random.below(1) == 0);
}

TEST_CASE("random: below has no bias where the range does not divide 2^64") {
  Random random(1);
  constexpr std::uint64_t quarter = std::uint64_t{1} << 62;
  int low = 0;
  constexpr int n = 30'000;
  for (int i = 0; i < n; ++i) low += random.below(3 * quarter) < quarter;
  // A third; a bare remainder would give a half. Deviation sqrt(1/3 * 2/3 / 30000) = 0.0027.
  CHECK(std::abs(static_cast<double>(low) / n - 1.0 / 3) < 4 * 0.0027);
}

TEST_CASE("random: uniform lies in 0 to 1 and fills it evenly") {
  Random random(2);
  double sum = 0, least = 1, most = 0;
  constexpr int n = 100'000;
  for (int i = 0; i < n; ++i) {
    const double x = random.uniform();
    sum += x;
    least = std::min(least, x);
    most = std::max(most, x);
  }
  CHECK(least >= 0);
  CHECK(most < 1);
  CHECK(most - least > 0.999);
  CHECK(std::abs(sum / n - 0.5) < 4 * 0.00092);  // 1/sqrt(12) / sqrt(100000)
}

TEST_CASE("random: a chance of 0 never comes, of 1 always, of 0.3 in three of ten") {
  Random random(3);
  int hits = 0;
  constexpr int n = 100'000;
  for (int i = 0; i < n; ++i) {
    REQUIRE_FALSE(random.chance(0));
    REQUIRE(random.chance(1));
    hits += random.chance(0.3);
  }
  CHECK(std::abs(static_cast<double>(hits) / n - 0.3) < 4 * 0.00145);  // sqrt(0.3 * 0.7 / 100000)
}
