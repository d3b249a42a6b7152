// Platform files of cards that nobody here has, against kernel times that others published.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "validation/compare/comparison.hpp"

namespace specmoe {

/// Where the published tables are unless a caller knows better: shared/data/published-kernels beside the checkout.
std::filesystem::path published_folder();

/// The rows of the published tables that the platform file was not fitted on, each beside kernel_time. Of a table that
/// it was fitted on that is every second row, or every second shape. Kind "published"; groups "gemm", "elementwise",
/// "attention decode", "attention prefill", "moe layer", and tables that nothing was fitted on: "lm head",
/// "moe layer of Mixtral".
/// @return none if the platform is in none of the tables, or there is no such folder
/// @throws InputError if a table is missing or has an odd row
std::vector<Comparison> compare_published(const std::string& platform, const std::filesystem::path& folder);

}  // namespace specmoe
