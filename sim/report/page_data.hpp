// What the page shows, as JSON, from results.h5 (layout: sim/results/recorder.hpp) and study.h5.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace specmoe {

/// {"specmoe", "live", "results": [...], "studies": [...]}: columns as arrays, times in s, bytes in B, null where
/// there was nothing to measure; bulk numbers rounded to seven digits. A study's cells carry the means over their runs
/// beside the intervals of the file.
/// @param live JSON, null for a page that is a file; see page_text
/// @throws InputError if a file is neither a results file nor a study
std::string page_data(const std::vector<std::filesystem::path>& files, const std::string& live = "null");

}  // namespace specmoe
