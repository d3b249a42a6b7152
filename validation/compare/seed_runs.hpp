// What seed.yaml's rows are computed from: runs of scenarios, and counts of experts that a batch shares.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "sim/base/yaml.hpp"
#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// A strategy's run, summed up.
struct SeedTotals {
  double seconds = 0;
  /// (token, expert) pairs; accesses after deduplication; of these, found in GPU memory in time.
  std::int64_t routed = 0, accesses = 0, found = 0;
};

/// Strategies of scenarios: first all that are wanted are named, then run together, then asked.
class SeedRuns {
 public:
  /// @param folder of the scenarios
  explicit SeedRuns(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// @param where names the strategy, for errors
  /// @throws InputError if there is no such scenario or strategy
  void want(const Yaml& scenario, const std::string& strategy, const Yaml& where);
  /// Each in a process of its own, `jobs` at a time.
  void run(int jobs, const std::function<void(const std::string&)>& say);
  const SeedTotals& at(const std::string& scenario, const std::string& strategy) const {
    return totals_.at({scenario, strategy});
  }

 private:
  std::filesystem::path folder_;
  std::map<std::string, Scenario> scenarios_;
  std::map<std::pair<std::string, std::string>, SeedTotals> totals_;
};

inline double seed_share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

/// Pairs of a batch that need no load of their own, if each token has k of the experts, all alike:
/// 1 - E (1 - (1 - k/E)^B) / (B k).
double shared_if_uniform(std::int64_t experts, std::int64_t k, std::int64_t batch);
/// The same, counted over the first so many decode steps of a source's first requests.
double shared_in(RoutingSource& source, std::int64_t batch, std::int64_t steps);

}  // namespace specmoe
