#include "sim/base/statistics.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace specmoe;

TEST_CASE("statistics: a quantile lies between its neighbours in proportion") {
  const std::vector<double> values{40, 10, 30, 20};
  CHECK(quantile(values, 0) == 10);
  CHECK(quantile(values, 1) == 40);
  CHECK(quantile(values, 0.5) == 25);                      // halfway from the second to the third
  CHECK(quantile(values, 0.99) == doctest::Approx(39.7));  // 0.99 x 3 = 2.97: 30 + 0.97 x 10
  CHECK(quantile({7}, 0.99) == 7);
  CHECK(std::isnan(quantile({}, 0.5)));
}
