#include "sim/base/linear.hpp"

#include <cmath>

namespace specmoe {

void solve_symmetric(std::vector<double>& a, std::vector<double>& b, std::size_t n, std::size_t columns) {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      // Four sums that do not wait for each other.
      const double *x = &a[i * n], *y = &a[j * n];
      double sums[4] = {};
      std::size_t k = 0;
      for (; k + 4 <= j; k += 4)
        for (std::size_t s = 0; s < 4; ++s) sums[s] += x[k + s] * y[k + s];
      for (; k < j; ++k) sums[0] += x[k] * y[k];
      const double rest = a[i * n + j] - (sums[0] + sums[1]) - (sums[2] + sums[3]);
      a[i * n + j] = i == j ? std::sqrt(rest) : rest / a[j * n + j];
    }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k)
      for (std::size_t c = 0; c < columns; ++c) b[i * columns + c] -= a[i * n + k] * b[k * columns + c];
    for (std::size_t c = 0; c < columns; ++c) b[i * columns + c] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k)
      for (std::size_t c = 0; c < columns; ++c) b[i * columns + c] -= a[k * n + i] * b[k * columns + c];
    for (std::size_t c = 0; c < columns; ++c) b[i * columns + c] /= a[i * n + i];
  }
}

}  // namespace specmoe
