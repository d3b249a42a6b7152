// Single figures that others measured on cards that nobody here has and that no platform file was filled from.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "sim/base/yaml.hpp"
#include "validation/compare/comparison.hpp"

namespace specmoe {

/// The platform's figures in a file like validation/published/figures.yaml, which says how they are written, each
/// beside the simulated time. Kind "quoted". Copies are simulated, in a process of their own (see run_isolated); what
/// kernels take is the sum of their prices.
/// @throws InputError if the file is not sound
std::vector<Comparison> compare_quoted(const std::string& platform, const std::filesystem::path& file);
/// The same of a file and a platform that are there already.
std::vector<Comparison> compare_quoted(const std::string& platform, const Platform& description,
                                       const Yaml& document);

}  // namespace specmoe
