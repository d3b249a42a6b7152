#include "sim/base/linear.hpp"

#include <doctest/doctest.h>

using namespace specmoe;

TEST_CASE("linear: a symmetric system for two right sides") {
  // [4 2 0; 2 5 1; 0 1 3] times [1 2 3] and [0 1 0]; what stands above the diagonal is not read.
  std::vector<double> a{4, 99, 99, 2, 5, 99, 0, 1, 3}, b{8, 2, 15, 5, 11, 1};
  solve_symmetric(a, b, 3, 2);
  const double expected[] = {1, 0, 2, 1, 3, 0};
  for (std::size_t i = 0; i < 6; ++i) CHECK(b[i] == doctest::Approx(expected[i]));
}
