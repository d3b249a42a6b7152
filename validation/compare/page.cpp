#include "validation/compare/page.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/plot.hpp"

namespace specmoe {

namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1b1b; --line: #ddd; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #e6e6e6; --line: #3a3d42; --bad: #ff8a80; } }
body { background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1080px; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; }
.pair { display: flex; flex-wrap: wrap; gap: .5rem; } .pair svg { flex: 1 1 320px; min-width: 0; max-width: 100%; }
.legend span { display: inline-block; margin-right: 1rem; } .legend { margin: .2rem 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top; }
.n { text-align: right; white-space: nowrap; } .broken { color: var(--bad); font-weight: bold; } tr.all { font-weight: bold; }
@media print { @page { margin: 12mm; } body { max-width: none; } .pair, tr { break-inside: avoid; } .scroll { overflow: visible; } }
)";

// Names the groups as they come.
std::vector<PlotPoint> plot_points(const std::vector<const Comparison*>& points, PlotOptions& options) {
  std::vector<PlotPoint> all;
  for (const Comparison* point : points) {
    auto group = std::find(options.groups.begin(), options.groups.end(), point->group);
    if (group == options.groups.end()) group = options.groups.insert(group, point->group);
    all.push_back({point->measured, point->simulated,
                   static_cast<std::size_t>(group - options.groups.begin()),
                   point->group + ": " + point->label});
  }
  return all;
}

std::string section(const std::vector<const Comparison*>& points) {
  PlotOptions options;
  options.title = points.front()->machine + ", " + points.front()->kind;
  const std::vector<PlotPoint> all = plot_points(points, options);
  return fmt::format("<h2>{}</h2>\n{}<div class=\"pair\">\n{}{}</div>\n", escape_markup(options.title),
                     plot_legend(options), scatter(all, options), residuals(all, options));
}

std::string table(const std::vector<ErrorSummary>& summaries, const std::vector<Bound>& bounds) {
  std::string html =
      "<h2>Errors</h2>\n<p>Of simulated / measured - 1; seconds are |simulated - measured|.</p>\n<div "
      "class=\"scroll\"><table>\n<tr><th>machine</th><th>kind</th><th>group</th><th class=\"n\">points</th>"
      "<th class=\"n\">mean</th><th class=\"n\">median</th><th class=\"n\">worst</th><th>worst is</th>"
      "<th class=\"n\">median, time</th><th>bounds</th></tr>\n";
  for (const ErrorSummary& s : summaries) {
    const std::string limits = bounds_text(s, bounds);
    html += fmt::format(
        "<tr{}><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1f} %</td><td "
        "class=\"n\">{:.1f} %</td><td class=\"n\">{:+.1f} %</td><td>{}</td><td "
        "class=\"n\">{}</td><td{}>{}</td></tr>\n",
        s.group == "all" ? " class=\"all\"" : "", escape_markup(s.machine), escape_markup(s.kind),
        escape_markup(s.group), s.points, 100 * s.mean_absolute, 100 * s.median_absolute, 100 * s.worst,
        escape_markup(s.worst_label), duration_text(s.median_absolute_seconds),
        limits.find("BROKEN") != std::string::npos ? " class=\"broken\"" : "", escape_markup(limits));
  }
  return html + "</table></div>\n";
}

}  // namespace

std::string validation_page(const std::vector<Comparison>& comparisons,
                            const std::vector<ErrorSummary>& summaries, const std::vector<Bound>& bounds,
                            const std::string& title, const std::vector<std::string>& notes) {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, "
      "initial-scale=1\">\n<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n"
      "<h1>{0}</h1>\n",
      escape_markup(title), kStyle);
  for (const std::string& note : notes) html += fmt::format("<p>{}</p>\n", escape_markup(note));
  std::vector<std::vector<const Comparison*>> sections;
  for (const Comparison& point : comparisons) {
    auto same = std::find_if(sections.begin(), sections.end(), [&](const auto& other) {
      return other.front()->machine == point.machine && other.front()->kind == point.kind;
    });
    if (same == sections.end()) same = sections.insert(same, std::vector<const Comparison*>{});
    same->push_back(&point);
  }
  for (const auto& points : sections) html += section(points);
  return html + table(summaries, bounds) + "</body>\n</html>\n";
}

std::string validation_picture(const std::vector<Comparison>& comparisons,
                               const std::vector<std::string>& machines) {
  PlotOptions options;
  options.title = "mean decode and prefill step";
  std::vector<const Comparison*> points;
  for (const Comparison& each : comparisons) {
    if (std::find(machines.begin(), machines.end(), each.machine) == machines.end()) continue;
    if (each.kind == "decode" || each.kind == "prefill") points.push_back(&each);
  }
  const std::vector<PlotPoint> all = plot_points(points, options);
  return picture(all, options);
}

}  // namespace specmoe
