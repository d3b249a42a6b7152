// What a user sees of results.h5.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "sim/results/summary.hpp"

namespace specmoe {

/// results.h5 as far as the reports need it, runs in the order of the scenario.
struct ResultsOverview {
  std::string scenario, description, platform, model, routing, specmoe;
  std::int64_t seed = 0;
  std::vector<std::string> notes, unverified;
  std::vector<std::pair<std::string, RunSummary>> runs;

  /// @throws InputError if the file is no results file.
  static ResultsOverview read(const std::filesystem::path& results);
};

/// The table for a terminal, a line a strategy, with what the columns mean.
std::string console_table(const ResultsOverview& overview);
/// All numbers of the summary. Times in s, bytes in B; null (json) or empty (csv) where there was nothing to
/// measure.
std::string as_json(const ResultsOverview& overview);
std::string as_csv(const ResultsOverview& overview);
/// A picture: the mean decode step of each strategy as a stacked bar.
std::string as_svg(const ResultsOverview& overview);

}  // namespace specmoe
