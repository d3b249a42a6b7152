#include "sim/study/cells.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace specmoe;

TEST_CASE("pareto: nobody on the front is beaten in both, and everybody else is") {
  //                              0  1  2  3  4    5
  const std::vector<double> gain{10, 8, 12, 8, 9, NAN}, cost{5, 3, 9, 2, 6, 1};
  // By cost: 3 (2, 8), 1 (3, 8: no faster), 0 (5, 10), 4 (6, 9: slower), 2 (9, 12).
  CHECK(pareto_front(gain, cost) == std::vector<std::size_t>{3, 0, 2});
  CHECK(pareto_front({1, 1}, {2, 2}) == std::vector<std::size_t>{0});
  CHECK(pareto_front({}, {}).empty());
}
