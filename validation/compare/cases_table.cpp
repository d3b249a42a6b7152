#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "sim/base/csv.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/plot.hpp"
#include "validation/compare/cases.hpp"
#include "validation/compare/wrapped.hpp"

namespace specmoe {

namespace {

constexpr std::size_t kWidth = 112;

std::string text(const CaseRow& row, double value) {
  if (!row.over.empty()) return fmt::format("{:.2f} x", value);
  switch (row.metric) {
    case CaseMetric::tpot:
    case CaseMetric::expert_wait:
    case CaseMetric::moe_block:
      return fmt::format("{:.1f} ms", 1000 * value);
    case CaseMetric::wait_share:
    case CaseMetric::prefill_wait_share:
    case CaseMetric::hit_rate:
      return fmt::format("{:.1f} %", 100 * value);
    default:
      return fmt::format("{:.3g} /s", value);
  }
}

std::string_view unit_text(const CaseRow& row) {
  switch (row.metric) {
    case CaseMetric::tokens_per_second:
      return "decode";
    case CaseMetric::all_tokens_per_second:
      return "all tokens";
    case CaseMetric::output_tokens_per_second:
      return "whole run";
    case CaseMetric::moe_block:
      return "MoE block";
    case CaseMetric::prompt_tokens_per_second:
      return "prefill";
    case CaseMetric::tpot:
      return "TPOT";
    case CaseMetric::expert_wait:
      return "waiting";
    case CaseMetric::wait_share:
      return "share waiting";
    case CaseMetric::prefill_wait_share:
      return "share waiting in prefill";
    case CaseMetric::hit_rate:
      return "hits";
  }
  return "";
}

std::string what(const CaseRow& row) {
  return fmt::format("{}{}{}", row.strategy, row.over.empty() ? "" : " over " + row.over,
                     row.metric == CaseMetric::tokens_per_second ? "" : fmt::format(", {}", unit_text(row)));
}

std::string case_table(const PublishedCase& each) {
  std::string out = fmt::format("\n{}: {}\n", each.name, each.title);
  for (const CaseMachine& machine : each.machines)
    for (const CaseTable& table : machine.tables)
      for (const CaseRow& row : table.rows)
        out += fmt::format("{:<7}{:<31} {:<36}{:>11}{:>11} {:>8}\n", name_of(row.kind),
                           machine.name + (table.name.empty() ? "" : ", " + table.name), what(row),
                           text(row, row.published), text(row, row.simulated),
                           row.calibrate ? fmt::format("({:+.1f})", 100 * row.error())
                                         : fmt::format("{:+.1f}", 100 * row.error()));
  for (std::size_t i = 0; i < each.constants.size(); ++i) {
    std::string fitted;
    for (const CaseMachine& machine : each.machines)
      fitted += fmt::format("{}{} {}", fitted.empty() ? "" : ", ", machine.name, machine.fitted.at(i));
    out += wrapped(fmt::format("fitted: {}: {}", each.constants[i].path, fitted), 2, kWidth);
  }
  for (const std::string& text : each.assumed) out += wrapped("assumed: " + text, 2, kWidth);
  for (const CaseMachine& machine : each.machines)
    for (const CaseTable& table : machine.tables)
      for (const CaseRow& row : table.rows)
        if (!row.note.empty()) out += wrapped(fmt::format("{}: {}", what(row), row.note), 2, kWidth);
  return out;
}

}  // namespace

std::string cases_table(const std::vector<PublishedCase>& cases) {
  std::string out = fmt::format("{:<7}{:<31} {:<36}{:>11}{:>11} {:>8}\n", "class", "machine, table", "what",
                                "published", "simulated", "error %");
  out += std::string(105, '-') + "\n";
  for (const PublishedCase& each : cases) out += case_table(each);
  out += "\n(in brackets: constants were fitted on it, and it is not scored)\n\n";
  out += fmt::format("{:<7}{:>6}{:>16}{:>10}   {}\n", "class", "rows", "median |error|", "worst",
                     "published / simulated speed, 10th to 90th percentile");
  for (const CaseErrors& e : case_errors(cases))
    out +=
        fmt::format("{:<7}{:>6}{:>14.1f} %{:>+8.1f} %   {}\n", e.kind, e.rows, 100 * e.median, 100 * e.worst,
                    e.speeds > 0 ? fmt::format("{:.2f} to {:.2f} ({} rows)", e.low, e.high, e.speeds) : "");
  std::size_t wrong = 0;
  for (const PublishedCase& each : cases)
    for (const std::string& pair : wrong_orders(each)) {
      out += fmt::format("not in the published order: {}\n", pair);
      ++wrong;
    }
  if (wrong == 0) out += "strategies are in the published order in every table\n";
  return out;
}

std::string cases_picture(const std::vector<PublishedCase>& cases) {
  PlotOptions options{
      "time of a token, a block or what waits for experts", "published", "simulated", {}, 0.15};
  std::vector<PlotPoint> points;
  for (const PublishedCase& each : cases)
    for (const CaseMachine& machine : each.machines)
      for (const CaseTable& table : machine.tables)
        for (const CaseRow& row : table.rows) {
          const bool share = row.metric == CaseMetric::wait_share || row.metric == CaseMetric::hit_rate ||
                             row.metric == CaseMetric::prefill_wait_share;
          if (row.calibrate || share || !row.over.empty()) continue;
          const bool time = row.metric == CaseMetric::tpot || row.metric == CaseMetric::moe_block ||
                            row.metric == CaseMetric::expert_wait;
          const std::string group(name_of(row.kind));
          const auto found = std::find(options.groups.begin(), options.groups.end(), group);
          const auto place = static_cast<std::size_t>(found - options.groups.begin());
          if (found == options.groups.end()) options.groups.push_back(group);
          points.push_back({time ? row.published : 1 / row.published,
                            time ? row.simulated : 1 / row.simulated, place,
                            fmt::format("{}, {}, {}: {}", each.name, machine.name, table.name, what(row))});
        }
  return picture(points, options);
}

void write_cases_csv(const std::vector<PublishedCase>& cases, const std::filesystem::path& file) {
  std::ofstream out(file, std::ios::binary);
  out << "case,class,machine,table,strategy,over,metric,published,simulated,calibrate,source\n";
  for (const PublishedCase& each : cases)
    for (const CaseMachine& machine : each.machines)
      for (const CaseTable& table : machine.tables)
        for (const CaseRow& row : table.rows)
          out << fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", each.name, name_of(row.kind),
                             csv_field(machine.name), csv_field(table.name), csv_field(row.strategy),
                             csv_field(row.over), unit_text(row), row.published, row.simulated, row.calibrate,
                             csv_field(each.source));
  if (!out.flush()) throw InputError(file, 0, "cannot be written", "a file in a folder that can");
}

std::string errors_yaml(const std::vector<CaseErrors>& errors) {
  std::string out =
      "# How far simulated runs are from published ones, by where experts are computed: published over "
      "simulated\n"
      "# decoding speed, 10th and 90th percentile over `rows` rows that nothing was fitted on. Written by\n"
      "# ./specmoe validate --published --errors validation/published/errors.yaml\n"
      "classes:\n";
  for (const CaseErrors& e : errors)
    if (e.speeds > 0)
      out += fmt::format("  {}: {{rows: {}, low: {:.3f}, high: {:.3f}}}\n", e.kind, e.speeds, e.low, e.high);
  return out;
}

}  // namespace specmoe
