#pragma once
#include <vector>

namespace specmoe {

/// The value below which a share of the values lies, linear between neighbours; NaN of none. @param share 0 to 1
double quantile(std::vector<double> values, double share);

}  // namespace specmoe
