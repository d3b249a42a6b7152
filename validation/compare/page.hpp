// validation.html: how far the simulator is off, as pictures and a table.
#pragma once
#include <string>
#include <vector>

#include "validation/compare/comparison.hpp"

namespace specmoe {

/// One page that needs nothing else: for each machine and kind simulated over measured and the errors, then the table.
/// @param bounds shown beside the summaries that they limit
/// @param notes a paragraph each
std::string validation_page(const std::vector<Comparison>& comparisons,
                            const std::vector<ErrorSummary>& summaries, const std::vector<Bound>& bounds,
                            const std::string& title, const std::vector<std::string>& notes);

/// The steps of whole runs on the machines that were measured, as an SVG file.
std::string validation_picture(const std::vector<Comparison>& comparisons,
                               const std::vector<std::string>& machines);

}  // namespace specmoe
