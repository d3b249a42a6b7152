#include "validation/compare/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sim/base/build_info.hpp"
#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/yaml.hpp"
#include "validation/calibration/measurement.hpp"

namespace specmoe {

namespace {

constexpr const char* kFormat = "specmoe-comparisons";

using Points = std::vector<const Comparison*>;

ErrorSummary summary_of(const Points& points, const std::string& group) {
  ErrorSummary all;
  all.machine = points.front()->machine;
  all.kind = points.front()->kind;
  all.group = group;
  all.points = points.size();
  std::vector<double> errors, seconds;
  for (const Comparison* point : points) {
    if (!(point->measured > 0) || !std::isfinite(point->measured) || !std::isfinite(point->simulated))
      throw std::logic_error(fmt::format("comparison of {} {} \"{}\": measured {} s, simulated {} s",
                                         point->machine, point->kind, point->label, point->measured,
                                         point->simulated));
    errors.push_back(std::abs(point->error()));
    seconds.push_back(std::abs(point->simulated - point->measured));
    all.mean_absolute += errors.back() / static_cast<double>(points.size());
    all.mean_absolute_seconds += seconds.back() / static_cast<double>(points.size());
    if (all.worst_label.empty() || errors.back() > std::abs(all.worst)) {
      all.worst = point->error();
      all.worst_label = point->label;
    }
  }
  all.median_absolute = median_of(errors);
  all.median_absolute_seconds = median_of(seconds);
  return all;
}

const char* name_of(Bound::Measure measure) {
  switch (measure) {
    case Bound::Measure::mean:
      return "mean";
    case Bound::Measure::median:
      return "median";
    case Bound::Measure::worst:
      return "worst";
    case Bound::Measure::median_seconds:
      return "median";
  }
  throw std::logic_error("a measure without name");
}

std::string amount(Bound::Measure measure, double value) {
  return measure == Bound::Measure::median_seconds ? fmt::format("{:.2f} us", value * 1e6)
                                                   : fmt::format("{:.1f} %", value * 100);
}

}  // namespace

std::vector<ErrorSummary> summarize(const std::vector<Comparison>& comparisons) {
  struct Kind {
    std::string machine, name;
    Points all;
    std::vector<std::pair<std::string, Points>> groups;
  };
  std::vector<Kind> kinds;
  for (const Comparison& point : comparisons) {
    auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) {
      return k.machine == point.machine && k.name == point.kind;
    });
    if (kind == kinds.end()) kind = kinds.insert(kind, {point.machine, point.kind, {}, {}});
    kind->all.push_back(&point);
    auto group = std::find_if(kind->groups.begin(), kind->groups.end(),
                              [&](const auto& one) { return one.first == point.group; });
    if (group == kind->groups.end()) group = kind->groups.insert(group, {point.group, {}});
    group->second.push_back(&point);
  }
  std::vector<ErrorSummary> summaries;
  for (const Kind& kind : kinds) {
    for (const auto& [group, points] : kind.groups) summaries.push_back(summary_of(points, group));
    summaries.push_back(summary_of(kind.all, "all"));
  }
  return summaries;
}

std::vector<Bound> read_bounds(const Yaml& document) {
  document.allow_only({"bounds"});
  std::vector<Bound> bounds;
  for (const Yaml& item : document["bounds"].items()) {
    item.allow_only({"machine", "kind", "group", "measure", "at_most"});
    using Measure = Bound::Measure;
    const auto measure = item["measure"].choice<Measure>({{"mean", Measure::mean},
                                                          {"median", Measure::median},
                                                          {"worst", Measure::worst},
                                                          {"median_seconds", Measure::median_seconds}});
    const Yaml at_most = item["at_most"];
    bounds.push_back({item["machine"].text(), item["kind"].text(), item["group"].text(), measure,
                      measure == Measure::median_seconds ? at_most.seconds().value : at_most.number(0, 100),
                      fmt::format("{}:{}", item.file(), item.line())});
  }
  if (bounds.empty()) document["bounds"].fail("at least one");
  return bounds;
}

bool applies(const Bound& bound, const ErrorSummary& summary) {
  return (bound.machine == "*" || bound.machine == summary.machine) && bound.kind == summary.kind &&
         (bound.group == "*" ? summary.group != "all" : bound.group == summary.group);
}

double value_of(const Bound& bound, const ErrorSummary& summary) {
  switch (bound.measure) {
    case Bound::Measure::mean:
      return summary.mean_absolute;
    case Bound::Measure::median:
      return summary.median_absolute;
    case Bound::Measure::worst:
      return std::abs(summary.worst);
    case Bound::Measure::median_seconds:
      return summary.median_absolute_seconds;
  }
  throw std::logic_error("a measure without value");
}

std::string Breach::text() const {
  if (!summary)
    return fmt::format("{}: {}, {}, {}: applies to nothing; expected something to check", bound.where,
                       bound.machine, bound.kind, bound.group);
  return fmt::format("{}: {}, {}, {}: {} {}; expected at most {}", bound.where, summary->machine,
                     summary->kind, summary->group, name_of(bound.measure),
                     amount(bound.measure, value_of(bound, *summary)), amount(bound.measure, bound.at_most));
}

std::vector<Breach> check(const std::vector<ErrorSummary>& summaries, const std::vector<Bound>& bounds) {
  std::vector<Breach> breaches;
  for (const Bound& bound : bounds) {
    bool used = false;
    for (const ErrorSummary& summary : summaries) {
      if (!applies(bound, summary)) continue;
      used = true;
      if (!(value_of(bound, summary) <= bound.at_most)) breaches.push_back({bound, summary});
    }
    if (!used) breaches.push_back({bound, std::nullopt});
  }
  return breaches;
}

std::string bounds_text(const ErrorSummary& summary, const std::vector<Bound>& bounds) {
  std::string text;
  for (const Bound& bound : bounds)
    if (applies(bound, summary))
      text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", name_of(bound.measure),
                          amount(bound.measure, bound.at_most),
                          value_of(bound, summary) <= bound.at_most ? "holds" : "BROKEN");
  return text;
}

namespace {

// So much of a label that a line of the table stays on a screen.
std::string shortened(const std::string& label) {
  constexpr std::size_t kMost = 44;
  return label.size() <= kMost ? label : label.substr(0, kMost - 3) + "...";
}

}  // namespace

std::string summary_table(const std::vector<ErrorSummary>& summaries, const std::vector<Bound>& bounds) {
  std::size_t machine = 7, kind = 4, group = 5, label = 5;  // as wide as the headings
  for (const ErrorSummary& s : summaries) {
    machine = std::max(machine, s.machine.size());
    kind = std::max(kind, s.kind.size());
    group = std::max(group, s.group.size());
    label = std::max(label, shortened(s.worst_label).size());
  }
  std::string table = fmt::format("{:<{}}  {:<{}}  {:<{}}{:>8}{:>9}{:>10}{:>11}{:>9}  {:<{}}  {}\n",
                                  "machine", machine, "kind", kind, "group", group, "points", "mean %",
                                  "median %", "median us", "worst %", "worst", label, "bounds");
  for (const ErrorSummary& s : summaries)
    table += fmt::format("{:<{}}  {:<{}}  {:<{}}{:>8}{:>9.1f}{:>10.1f}{:>11.4g}{:>+9.1f}  {:<{}}  {}\n",
                         s.machine, machine, s.kind, kind, s.group, group, s.points, 100 * s.mean_absolute,
                         100 * s.median_absolute, 1e6 * s.median_absolute_seconds, 100 * s.worst,
                         shortened(s.worst_label), label, bounds_text(s, bounds));
  return table;
}

void write_comparisons(const std::vector<Comparison>& comparisons, const std::filesystem::path& file) {
  H5File out = H5File::create(file);
  out.set("/", "format", kFormat);
  out.set("/", "version", std::int64_t{1});
  out.set("/", "specmoe", version());
  const auto texts = [&](const char* name, std::string Comparison::*field) {
    std::vector<std::string> column;
    for (const Comparison& point : comparisons) column.push_back(point.*field);
    out.write_strings(fmt::format("/comparisons/{}", name), column);
  };
  const auto times = [&](const char* name, double Comparison::*field) {
    std::vector<double> column;
    for (const Comparison& point : comparisons) column.push_back(point.*field);
    out.write(fmt::format("/comparisons/{}", name), column);
  };
  texts("machine", &Comparison::machine);
  texts("kind", &Comparison::kind);
  texts("group", &Comparison::group);
  texts("label", &Comparison::label);
  times("measured", &Comparison::measured);
  times("simulated", &Comparison::simulated);
  out.flush();
}

std::vector<Comparison> read_comparisons(const std::filesystem::path& file) {
  const H5File in = H5File::open(file);
  if (!in.has("/", "format") || in.get_string("/", "format") != kFormat)
    throw InputError(file.string(), 0, "is no file of comparisons", kFormat);
  const auto machines = in.read_strings("/comparisons/machine"), kinds = in.read_strings("/comparisons/kind"),
             groups = in.read_strings("/comparisons/group"), labels = in.read_strings("/comparisons/label");
  const auto measured = in.read<double>("/comparisons/measured"),
             simulated = in.read<double>("/comparisons/simulated");
  std::vector<Comparison> all;
  for (const std::size_t size :
       {kinds.size(), groups.size(), labels.size(), measured.size(), simulated.size()})
    if (size != machines.size())
      throw InputError(file.string(), 0, "/comparisons: columns differ in length",
                       "one value a point in each");
  for (std::size_t i = 0; i < machines.size(); ++i)
    all.push_back({machines[i], kinds[i], groups[i], labels[i], measured[i], simulated[i]});
  return all;
}

}  // namespace specmoe
