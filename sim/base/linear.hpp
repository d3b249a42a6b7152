#pragma once
#include <cstddef>
#include <vector>

namespace specmoe {

/// Solves a x = b in place for b's columns, [n, columns]. a is symmetric, positive definite, [n, n]; only its lower
/// triangle is read, and it is overwritten (Cholesky).
void solve_symmetric(std::vector<double>& a, std::vector<double>& b, std::size_t n, std::size_t columns);

}  // namespace specmoe
