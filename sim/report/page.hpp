// The page: one HTML file with its data, scripts and styles in it, which asks no network for anything.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace specmoe {

/// The page of the given results.h5 and study.h5 files, of none too if `live` tells what may be asked.
/// @param live JSON; Offer::json() for a page that specmoe explore serves
/// @throws InputError if a file is neither
std::string page_text(const std::vector<std::filesystem::path>& files, const std::string& live = "null");

/// Writes the page of the given results.h5 and study.h5 files.
/// @throws InputError if a file is neither, or the page cannot be written
void write_page(const std::vector<std::filesystem::path>& files, const std::filesystem::path& page);

}  // namespace specmoe
