// Measured times beside simulated ones, how far they are apart, and how far they may be.
//
// validation.h5 ("specmoe-comparisons" version 1):
//   /             attributes: format, version, specmoe
//   /comparisons/{machine,kind,group,label}   text [point]
//   /comparisons/{measured,simulated}         float64 [point], s
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/yaml.hpp"

namespace specmoe {

/// One point that was measured, and the same simulated.
struct Comparison {
  std::string machine;  // "h100"
  /// Of a machine that was measured here: "copies", "kernels", the mean step in "decode" and "prefill", the machine's
  /// own repeats of it ("repeated") and, as counts instead of times, what the engine decided ("counts"). Of one that was
  /// not: "published" tables and single "quoted" figures.
  std::string kind;
  std::string group;                   // "gemm", "pinned in, 256 KiB and more", "bound by the link"
  std::string label;                   // what the point is
  double measured = 0, simulated = 0;  // s; measured above 0

  /// simulated / measured - 1
  double error() const { return simulated / measured - 1; }
};

/// The errors of one group, or of all groups of a kind together (group "all").
struct ErrorSummary {
  std::string machine, kind, group;
  std::size_t points = 0;
  double mean_absolute = 0, median_absolute = 0;  // of the relative error
  double worst = 0;                               // with its sign
  std::string worst_label;
  double mean_absolute_seconds = 0, median_absolute_seconds = 0;
};

/// By (machine, kind, group) in the order in which each first appears; after the groups of a (machine, kind), "all".
/// @throws std::logic_error if a measured time is not above 0 or a simulated one is no number
std::vector<ErrorSummary> summarize(const std::vector<Comparison>& comparisons);

/// How far the simulator may be off.
struct Bound {
  enum class Measure { mean, median, worst, median_seconds };
  /// "*" is every machine, and every group but "all".
  std::string machine, kind, group;
  Measure measure = Measure::mean;
  double at_most = 0;  // a fraction; of median_seconds s
  /// Where it stands: "bounds.yaml:12".
  std::string where;
};

/// Reads a list `bounds` of {machine, kind, group, measure, at_most}: a fraction, or a time ("1 us") if the measure is
/// median_seconds. @throws InputError if it is none
std::vector<Bound> read_bounds(const Yaml& document);

bool applies(const Bound& bound, const ErrorSummary& summary);
/// What the bound limits: mean, median or |worst| of the relative error, or the median in s.
double value_of(const Bound& bound, const ErrorSummary& summary);

/// A bound that does not hold.
struct Breach {
  Bound bound;
  /// Absent where the bound applies to nothing: a check that cannot fail is a defect too.
  std::optional<ErrorSummary> summary;

  /// "bounds.yaml:12: h100, kernels, gemm: mean 12.0 %; expected at most 8.0 %"
  std::string text() const;
};
std::vector<Breach> check(const std::vector<ErrorSummary>& summaries, const std::vector<Bound>& bounds);

/// A line a summary, with the bounds that apply to it and whether they hold.
std::string summary_table(const std::vector<ErrorSummary>& summaries, const std::vector<Bound>& bounds);
/// The bounds of one summary: "mean 8.0 % holds, worst 30.0 % BROKEN"; empty if there are none.
std::string bounds_text(const ErrorSummary& summary, const std::vector<Bound>& bounds);

/// @throws InputError if the file cannot be written
void write_comparisons(const std::vector<Comparison>& comparisons, const std::filesystem::path& file);
/// @throws InputError if the file holds no comparisons
std::vector<Comparison> read_comparisons(const std::filesystem::path& file);

}  // namespace specmoe
