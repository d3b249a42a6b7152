// The seed's headline numbers and tables (validation/published/seed.yaml): what was claimed, what its own rules give, and
// what an engine gives that pays for its transfers, with the seed's memory and with equal memory.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace specmoe {

/// A number, or why there is none.
struct SeedNumber {
  std::optional<double> value;
  std::string reason;
};

enum class SeedMetric {
  speedup,
  /// Share of accesses that found their expert in GPU memory; in a run, not those that had to wait for it.
  hits,
  /// Share of (token, expert) pairs that need no load of their own since another token of the batch has the expert.
  shared
};

/// What seed.yaml calls a row: a claim and the three numbers beside it.
struct SeedRow {
  std::string name, claim, source, note;
  SeedMetric metric = SeedMetric::speedup;
  double claimed = 0;
  /// The seed's rules, imitated (seed_rules.hpp) or recomputed from its tables.
  SeedNumber rule;
  /// How far `rule` may be from `claimed`, relative; infinite where it is known not to give the claim.
  double within = 0;
  /// Run as a scenario with the memory, or the deduplication, that the seed gave each side.
  SeedNumber own;
  /// The same with equal memory and deduplication.
  SeedNumber equal;
  std::string where;  // "seed.yaml:12"
};

/// A speedup as the seed's rules are mended one by one.
struct SeedStep {
  std::string change;
  double speedup = 0, hits = 0;
};

/// A strategy at a batch size of one of the seed's tables: times of the whole run, hits, speedup over its A.
struct SeedCell {
  /// Of one way to get the numbers: claimed, by its rules, or run.
  struct Entry {
    double milliseconds = 0, hits = 0, speedup = 0;
  };
  std::string table, strategy;
  int batch = 0;
  Entry claimed;
  std::optional<Entry> rule;  // none where the rule is not imitated
  std::string reason;         // why not
  Entry equal;
};

/// All that is compared of the earlier system.
struct SeedSet {
  std::vector<SeedRow> rows;
  std::vector<SeedStep> steps;
  std::vector<SeedCell> cells;
};

/// Reads the file and runs what it names: scenarios in its folder seed/, each strategy in a process of its own.
/// @param say hears of progress, a line at a time
/// @throws InputError if the file or a scenario is not sound
SeedSet compare_seed(const std::filesystem::path& file, int jobs,
                     const std::function<void(const std::string&)>& say);

/// Rows whose rule is further from the claim than they say: "seed.yaml:12: ..."; empty if all hold.
std::vector<std::string> seed_breaches(const SeedSet& set);
std::string seed_table(const SeedSet& set);
/// @throws InputError if the file cannot be written
void write_seed_csv(const SeedSet& set, const std::filesystem::path& file);

}  // namespace specmoe
