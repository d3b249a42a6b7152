// What the page of `specmoe explore` may change in a scenario.
#pragma once
#include <string>
#include <vector>

#include "sim/study/study.hpp"

namespace specmoe {

/// A platform that the page offers.
struct OfferedPlatform {
  /// As a scenario names it.
  std::string name;
  /// Between the memory where experts wait and the GPU's: links by name, and what the slowest of them carries.
  std::vector<std::string> links;
  BytesPerSecond bandwidth;
  /// The GPU's.
  std::string memory;
  Bytes capacity;
};

/// What the page's sliders may be set to.
struct Offer {
  std::string scenario, description;
  /// The scenario's own first. One that cannot run the scenario is not among them.
  std::vector<OfferedPlatform> platforms;
  /// Where a cache capacity stands, or can; where a predictor's accuracy stands.
  std::vector<std::string> cache, accuracy;
  /// NaN if the first of them is a list of several; of none.
  double first_accuracy;
  std::int64_t batch, requests;

  /// @throws InputError if the scenario cannot run as it is
  static Offer of(const Study& base);

  bool has_path(const std::string& path) const;
  /// For a path that it has: one line of letters, digits and what stands in a quantity; of a platform, one of those that
  /// are offered. Whether it can run is for the scenario's reader to say.
  bool takes(const std::string& path, const std::string& value) const;
  /// For the page, see sim/report/page/explore.js.
  std::string json() const;
};

}  // namespace specmoe
