// Whole runs of engines that others published (validation/published/cases/*.yaml), and what the simulator gives for them.
#pragma once
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/yaml.hpp"
#include "sim/scenario/edits.hpp"

namespace specmoe {

/// What a published number says; times in s, shares of 1.
enum class CaseMetric {
  tokens_per_second,         // decoded tokens a second of decoding
  all_tokens_per_second,     // prompts' and decoded tokens a second of the whole run
  output_tokens_per_second,  // decoded tokens a second of the whole run
  prompt_tokens_per_second,
  moe_block,  // mean time of a MoE block in decode
  tpot,
  expert_wait,  // a decode step
  wait_share,   // of a decode step
  prefill_wait_share,
  hit_rate  // of accesses in decode
};

/// Where experts are computed and what brings them there, for which errors are summed up: all in GPU memory; fetched over
/// the link; missed ones on the CPU; on both; from a disk. `cache` is what is counted and not timed.
enum class CaseClass { gpu, link, cpu, hybrid, disk, cache };
std::string_view name_of(CaseClass kind);

/// One published number.
struct CaseRow {
  std::string strategy;  // of the scenario's
  CaseMetric metric = CaseMetric::tokens_per_second;
  CaseClass kind = CaseClass::link;
  double published = 0;
  /// Divided by the same of another strategy; empty for the number itself.
  std::string over{};
  /// Constants may be fitted on it, and it is not scored.
  bool calibrate = false;
  std::vector<Edit> edits{};  // after the case's, the machine's and the table's
  std::string note{};
  std::string where{};  // "file:line"
  /// NaN until it was simulated.
  double simulated = std::numeric_limits<double>::quiet_NaN();

  /// simulated / published - 1
  double error() const { return simulated / published - 1; }
};

/// Rows whose order among each other is compared: those of one metric.
struct CaseTable {
  std::string name;
  std::vector<Edit> edits{};
  std::vector<CaseRow> rows{};
};

/// A constant of the engine that no source gives, fitted for each machine on rows marked `calibrate` alone.
struct CaseConstant {
  std::string path;
  Yaml low, high;
  /// The strategies whose rows it is fitted on; empty for all.
  std::vector<std::string> strategies{};
};

/// A machine of a published case: what is changed for it in the scenario, and the tables published of it.
struct CaseMachine {
  std::string name;
  std::vector<Edit> edits{};
  std::vector<CaseTable> tables{};
  /// Of each constant, after the fit: "8.31 ms".
  std::vector<std::string> fitted{};
};

/// Published runs of another engine, with the scenario that stands for them.
struct PublishedCase {
  std::string name, title, source;
  std::vector<std::string> assumed;
  Yaml scenario;
  std::vector<CaseConstant> constants{};
  std::vector<CaseMachine> machines{};

  /// Its keys stand in validation/published/README.md. @throws InputError
  static PublishedCase load(const std::filesystem::path& file);
};

/// Fits what is to be fitted and simulates every row, so many simulations at a time.
/// @param say hears of progress, a line at a time
/// @throws InputError for a row whose scenario cannot run
void simulate_case(PublishedCase& each, int jobs, const std::function<void(const std::string&)>& say);

/// Pairs of rows of a table and metric that the simulator puts in another order than was published: "machine, table: a
/// before b". Numbers less than 3 % apart have no order: five repeats in KTransformers' table differ by as much.
std::vector<std::string> wrong_orders(const PublishedCase& each);

/// How far the rows of one class are off, calibrated ones left out.
struct CaseErrors {
  std::string kind;  // "all" for every class together
  std::size_t rows = 0;
  double median = 0, worst = 0;  // of |error|; with its sign
  /// Rows that are speeds, and the 10th and 90th percentile of the published over the simulated speed.
  std::size_t speeds = 0;
  double low = 1, high = 1;
};
std::vector<CaseErrors> case_errors(const std::vector<PublishedCase>& cases);

std::string cases_table(const std::vector<PublishedCase>& cases);
/// Simulated over published times of tokens and blocks, as SVG; rows that were fitted on are left out.
std::string cases_picture(const std::vector<PublishedCase>& cases);
/// As CSV. @throws InputError if the file cannot be written
void write_cases_csv(const std::vector<PublishedCase>& cases, const std::filesystem::path& file);
/// validation/published/errors.yaml, which `specmoe plan` reads.
std::string errors_yaml(const std::vector<CaseErrors>& errors);

}  // namespace specmoe
