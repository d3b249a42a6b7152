#pragma once
#include <vector>

namespace specmoe {

/// Numbers that differ by less than this share of them are equal: sums of the same times in another order do.
inline constexpr double kRounding = 1e-9;

/// The value below which a share of the values lies, linear between neighbours (definition 7 of Hyndman and Fan 1996);
/// NaN of none. @param values without NaN @param share 0 to 1
double quantile(std::vector<double> values, double share);

}  // namespace specmoe
