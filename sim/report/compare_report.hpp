// What a user sees of compared strategies.
#pragma once
#include <string>
#include <vector>

#include "sim/results/compare.hpp"

namespace specmoe {

/// The rows as they come, under a heading a block.
std::string compare_table(const std::vector<ComparedRow>& rows);
/// All rows with their intervals; empty fields where there was nothing to measure.
std::string compare_csv(const std::vector<ComparedRow>& rows);

}  // namespace specmoe
