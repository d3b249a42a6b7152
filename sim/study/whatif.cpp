#include "sim/study/whatif.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <stdexcept>

#include "sim/base/input_error.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/study/journal.hpp"

namespace specmoe {

Asking::Asking(Study base, StudyOptions options, Distribute distribute)
    : base_(std::move(base)), options_(std::move(options)), distribute_(std::move(distribute)) {}

Asking::Answer Asking::ask(Axis axis) const {
  Study study = base_;
  const std::string name = axis.name;
  study.axes.push_back(std::move(axis));
  if (study.points() > 1) study.baseline.axes[name] = 0;
  Plan plan = Plan::make(study);
  const StudyOutcome outcome = conduct(study, plan, distribute_, options_);
  if (!outcome.failures.empty()) throw std::runtime_error(outcome.failures.front());
  const Journal journal(options_.out / "journal", options_.writer);
  std::vector<CellSummary> cells = summarise(study, plan, [&](std::size_t run) {
    return RunResult::parse(journal.read(plan.runs[run].key)).summary;
  });
  return {std::move(study), std::move(plan), std::move(cells)};
}

Edit parse_edit(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
    throw InputError("--set " + text, 0, "no change",
                     "PATH=VALUE, e.g. platform.links.pcie.bandwidth=128GB/s");
  return {text.substr(0, equals), Yaml::parse(text.substr(equals + 1), "--set " + text)};
}

std::vector<std::string> paths_of_key(const Yaml& scenario, const std::string& key) {
  std::vector<std::string> paths;
  if (scenario.at(key)) paths.push_back(key);
  if (const auto strategies = scenario.find("strategies"))
    for (const Yaml& strategy : strategies->items())
      if (strategy.at(key)) paths.push_back(fmt::format("strategies[{}].{}", strategy["name"].text(), key));
  return paths;
}

std::vector<std::string> sensitivity_paths(const Study& base) {
  const Scenario scenario = Scenario::read(base.scenario, base.edits(0, 0));
  const EngineSettings& s = scenario.strategies.front().settings;
  const Platform& platform = scenario.platform;
  const Device& gpu = platform[s.gpu];
  std::vector<std::string> paths;
  for (const Hop& hop : platform.route(s.expert_home, gpu.memory).hops)
    for (const char* key : {".bandwidth", ".latency"})
      paths.push_back("platform.links." + platform.links[static_cast<std::size_t>(hop.link)].name + key);
  if (platform[s.expert_home].kind == Memory::Kind::disk)
    paths.push_back("platform.memories." + platform[s.expert_home].name + ".read");
  paths.push_back("platform.memories." + platform[gpu.memory].name + ".read");
  paths.push_back("platform.memories." + platform[gpu.memory].name + ".capacity");
  const std::string device = "platform.devices." + gpu.name;
  for (const auto& [format, rate] : gpu.peak)
    paths.push_back(fmt::format("{}.peak.{}", device, name_of(format)));
  for (const char* call : {"launch", "copy", "record", "wait", "synchronize"})
    paths.push_back(device + ".host_calls." + call);
  for (const char* kernel : {"gemm", "grouped_gemm", "attention", "elementwise", "top_k"})
    paths.push_back(device + ".kernels." + kernel + ".floor");
  for (const char* key : {"cache.capacity", "prefetch.accuracy"})
    for (std::string& path : paths_of_key(base.document(), key)) paths.push_back(std::move(path));
  return paths;
}

Axis sensitivity_axis(const Study& base, const std::vector<std::string>& paths, double factor,
                      std::vector<std::string>& left_out) {
  Axis axis{"change", "", {}, true, true};
  axis.values.push_back({"base", NAN, {}});
  for (const std::string& path : paths) {
    std::vector<AxisValue> both;
    for (const double f : {1 / factor, factor}) {
      const std::string text = fmt::format("x{:.4g}", f);
      both.push_back({path + " " + text, std::stod(text.substr(1)), {{path, base.scenario.replaced(text)}}});
    }
    try {
      for (const AxisValue& value : both) {
        std::vector<RefusedStrategy> refused;
        std::vector<Edit> edits = base.edits(0, 0);
        edits.insert(edits.end(), value.edits.begin(), value.edits.end());
        Scenario::read(base.scenario, edits, &refused);
      }
      axis.values.insert(axis.values.end(), both.begin(), both.end());
    } catch (const InputError& error) {
      left_out.push_back(fmt::format("{}: {}", path, error.what()));
    }
  }
  return axis;
}

std::string tornado_table(const Asking::Answer& answer) {
  const Axis& axis = answer.study.axes.back();
  struct Row {
    std::string path;
    double low = NAN, high = NAN;  // TPOT over the base's, minus 1
    double most() const {
      return std::max(std::isnan(low) ? 0 : std::abs(low), std::isnan(high) ? 0 : std::abs(high));
    }
  };
  std::string text;
  for (std::size_t strategy = 0; strategy < answer.plan.strategies.size(); ++strategy) {
    std::vector<Row> rows;
    double base = NAN;
    for (std::size_t c = 0; c < answer.cells.size(); ++c) {
      const StudyCell& cell = answer.plan.cells[c];
      if (static_cast<std::size_t>(cell.strategy) != strategy || !cell.refused.empty()) continue;
      const double tpot = answer.cells[c].metrics[0].value;
      const AxisValue& value = axis.values[answer.study.places(static_cast<std::size_t>(cell.point)).back()];
      if (value.edits.empty()) {
        base = tpot;
        continue;
      }
      const std::string& path = value.edits.front().path;
      if (rows.empty() || rows.back().path != path) rows.push_back({path});
      (value.number < 1 ? rows.back().low : rows.back().high) = tpot / base - 1;
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const Row& a, const Row& b) { return a.most() > b.most(); });
    std::size_t width = 9;
    for (const Row& row : rows) width = std::max(width, row.path.size());
    text += fmt::format("{}{}: TPOT {:.2f} ms\n{:<{}}{:>10}{:>10}\n", text.empty() ? "" : "\n",
                        answer.plan.strategies[strategy], base * 1e3, "parameter", width,
                        axis.values[1].edits.front().value.text(), axis.values[2].edits.front().value.text());
    const double most = rows.empty() ? 0 : rows.front().most();
    // What moves nothing is only counted.
    const auto moving =
        std::find_if(rows.begin(), rows.end(), [](const Row& row) { return row.most() < 5e-4; });
    for (auto each = rows.begin(); each != moving; ++each) {
      const Row& row = *each;
      const auto side = [](double change) {
        return std::isnan(change) ? std::string("cannot") : fmt::format("{:+.1f} %", change * 100);
      };
      text += fmt::format(
          "{:<{}}{:>10}{:>10}  {}\n", row.path, width, side(row.low), side(row.high),
          std::string(most > 0 ? static_cast<std::size_t>(std::lround(30 * row.most() / most)) : 0, '#'));
    }
    if (moving != rows.end()) text += fmt::format("{} others: less than 0.05 %\n", rows.end() - moving);
  }
  return text;
}

BreakEven break_even(const Asking& asking, const std::string& path, const Yaml& low, const Yaml& high,
                     const std::string& strategy, const std::string& against, double tolerance) {
  const auto [from, unit] = low.number_and_unit();
  const auto [to, same] = high.number_and_unit();
  if (unit != same) high.fail(fmt::format("the unit of the other bound: \"{}\"", unit));
  if (!(from < to)) high.fail("a larger number than the other bound");
  BreakEven result;
  result.unit = unit;
  // log of tokens a second of the one over the other's
  const auto lead = [&, &text_unit = unit](double value) {
    ++result.asked;
    const std::string text = fmt::format("{:.10g}{}", value, text_unit);
    const Asking::Answer answer = asking.ask({path, path, {{text, value, {{path, low.replaced(text)}}}}});
    const auto speed = [&](const std::string& name) {
      for (std::size_t c = 0; c < answer.cells.size(); ++c) {
        const StudyCell& cell = answer.plan.cells[c];
        if (answer.plan.strategies[static_cast<std::size_t>(cell.strategy)] != name) continue;
        if (!cell.refused.empty())
          throw InputError("", 0, fmt::format("{} at {}: {}", name, text, cell.refused));
        return answer.cells[c].metrics[2].value;
      }
      throw InputError(low.file(), 0, fmt::format("no strategy \"{}\"", name),
                       fmt::format("one of {}", fmt::join(answer.plan.strategies, ", ")));
    };
    return std::log(speed(strategy) / speed(against));
  };
  const bool logarithmic = from > 0 && to / from > 10;
  const auto value_at = [&](double x) { return logarithmic ? std::exp(x) : x; };
  const double a = logarithmic ? std::log(from) : from, b = logarithmic ? std::log(to) : to;
  const double at_a = lead(from), at_b = lead(to);
  result.at_low = std::exp(at_a);
  result.at_high = std::exp(at_b);
  if (at_a * at_b > 0) return result;
  // Known ends are not asked again.
  const auto f = [&](double x) { return x == a ? at_a : x == b ? at_b : lead(value_at(x)); };
  std::uintmax_t steps = 60;
  const auto [left, right] = boost::math::tools::bisect(
      f, a, b,
      [&](double x, double y) {
        return std::abs(value_at(y) - value_at(x)) <= tolerance * std::abs(value_at(y));
      },
      steps);
  result.at = value_at((left + right) / 2);
  return result;
}

}  // namespace specmoe
