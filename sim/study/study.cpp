#include "sim/study/study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

constexpr std::size_t kMostPoints = 1'000'000;

AxisValue value_of(const std::string& path, const Yaml& node) {
  return {node.is_map() && node.find("name") ? node["name"].text() : node.written(),
          node.magnitude(),
          {{path, node}}};
}

// {from: 1, to: 64, points: 7, scale: log}, {from: 1 GB, to: 4 GB, step: 1 GB}
std::vector<AxisValue> read_range(const std::string& path, const Yaml& y) {
  const auto [from, unit] = y["from"].number_and_unit();
  const auto [to, same_unit] = y["to"].number_and_unit();
  if (unit != same_unit) y["to"].fail(fmt::format("the unit of from: \"{}\"", unit));
  const auto points = y.find("points"), step = y.find("step");
  if (points.has_value() == step.has_value())
    throw InputError(y.file(), y.line(), y.path() + ": neither or both of points and step", "one of them");
  const bool logarithmic = y.find("scale") && y["scale"].choice<bool>({{"linear", false}, {"log", true}});
  std::vector<double> numbers;
  if (step) {
    const auto [by, step_unit] = step->number_and_unit();
    if (step_unit != unit) step->fail(fmt::format("the unit of from: \"{}\"", unit));
    if (!(by * (to - from) >= 0) || by == 0) step->fail("a step that leads from from to to");
    if (logarithmic) y["scale"].fail("linear, or points instead of step");
    const double count = std::floor((to - from) / by * (1 + 1e-12)) + 1;
    if (count > static_cast<double>(kMostPoints)) step->fail("a larger step");
    for (double i = 0; i < count; ++i) numbers.push_back(from + i * by);
  } else {
    const auto n = points->integer(2, static_cast<std::int64_t>(kMostPoints));
    if (logarithmic && !(from > 0 && to > 0)) y["from"].fail("a number above 0, as is to, on a log scale");
    for (std::int64_t i = 0; i < n; ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(n - 1);
      numbers.push_back(i == 0        ? from
                        : i == n - 1  ? to
                        : logarithmic ? from * std::pow(to / from, share)
                                      : from + (to - from) * share);
    }
  }
  // A log scale between whole numbers means whole numbers: 1, 2, 4, 8.
  const auto is_whole = [](double number) { return number == std::floor(number) && std::abs(number) < 1e15; };
  const bool whole = logarithmic && unit.empty() && is_whole(from) && is_whole(to);
  std::vector<AxisValue> values;
  for (const double number : numbers) {
    const double round = whole ? std::round(number) : number;
    // Nine digits are enough for anybody's grid, and hide that a tenth is none in binary.
    const std::string text =
        (is_whole(round) ? fmt::format("{:.0f}", round) : fmt::format("{:.9g}", round)) + unit;
    if (!values.empty() && values.back().label == text) y.fail("fewer points: some would be the same");
    values.push_back(value_of(path, y.replaced(text)));
  }
  return values;
}

Axis read_axis(const std::string& name, const Yaml& y) {
  Axis axis{name, name, {}};
  if (y.is_list()) {
    for (const Yaml& item : y.items()) axis.values.push_back(value_of(name, item));
  } else if (y.find("variants")) {
    y.allow_only({"variants"});
    axis.path.clear();
    axis.speaks = true;
    for (const auto& [label, changes] : y["variants"].entries()) {
      AxisValue value{label, std::numeric_limits<double>::quiet_NaN(), {}};
      if (!(changes.is_scalar() && changes.written().empty()))
        for (const auto& [path, to] : changes.entries()) value.edits.push_back({path, to});
      axis.values.push_back(std::move(value));
    }
  } else if (y.find("keys")) {
    y.allow_only({"keys", "values"});
    axis.path.clear();
    const auto keys = y["keys"].items();
    if (keys.empty()) y["keys"].fail("at least one path");
    for (const Yaml& row : y["values"].items()) {
      const auto values = row.items();
      if (values.size() != keys.size()) row.fail(fmt::format("a value for each of {} keys", keys.size()));
      AxisValue value{"", values.front().magnitude(), {}};
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (i == 0 || values[i].written() != values[i - 1].written())
          value.label += (i ? " / " : "") + values[i].written();
        value.edits.push_back({keys[i].text(), values[i]});
      }
      axis.values.push_back(std::move(value));
    }
  } else if (y.find("one_at_a_time")) {
    y.allow_only({"one_at_a_time", "factors"});
    axis.path.clear();
    axis.one_at_a_time = axis.speaks = true;
    axis.values.push_back({"base", std::numeric_limits<double>::quiet_NaN(), {}});
    for (const Yaml& path : y["one_at_a_time"].items())
      for (const Yaml& factor : y["factors"].items()) {
        if (!factor.text().starts_with('x')) factor.fail("factors, e.g. [x0.5, x2]");
        axis.values.push_back(
            {path.text() + " " + factor.text(), factor.magnitude(), {{path.text(), factor}}});
      }
  } else {
    y.allow_only({"key", "values", "from", "to", "points", "step", "scale"});
    if (const auto key = y.find("key")) axis.path = key->text();
    if (y.find("values").has_value() == y.find("from").has_value())
      throw InputError(y.file(), y.line(), y.path() + ": neither or both of values and from", "one of them");
    if (const auto values = y.find("values"))
      for (const Yaml& item : values->items()) axis.values.push_back(value_of(axis.path, item));
    else
      axis.values = read_range(axis.path, y);
  }
  if (name.find('/') != std::string::npos || name == "." || name == ".." || name.empty())
    y.fail("an axis without \"/\" in its name");
  if (axis.values.empty()) y.fail("at least one value");
  std::set<std::string> labels;
  for (const AxisValue& value : axis.values)
    if (!labels.insert(value.label).second)
      y.fail(fmt::format("values that differ; \"{}\" stands twice", value.label));
  return axis;
}

Baseline read_baseline(const Yaml& y, const std::vector<Axis>& axes) {
  Baseline baseline;
  if (y.is_scalar()) {
    baseline.strategy = y.text();
    return baseline;
  }
  for (const auto& [name, value] : y.entries()) {
    if (name == "strategy") {
      baseline.strategy = value.text();
      continue;
    }
    const auto axis =
        std::find_if(axes.begin(), axes.end(), [&n = name](const Axis& a) { return a.name == n; });
    if (axis == axes.end()) {
      std::vector<std::string_view> names{"strategy"};
      for (const Axis& each : axes) names.push_back(each.name);
      y.allow_only(names);
    }
    const std::string label = value.written();
    const auto found = std::find_if(axis->values.begin(), axis->values.end(),
                                    [&](const AxisValue& v) { return v.label == label; });
    if (found == axis->values.end()) {
      std::vector<std::string_view> labels;
      for (const AxisValue& each : axis->values) labels.push_back(each.label);
      value.fail_choice(labels);
    }
    baseline.axes[name] = static_cast<std::size_t>(found - axis->values.begin());
  }
  return baseline;
}

}  // namespace

Study Study::of(const Yaml& scenario) {
  return {scenario["name"].text(), "", scenario.file(), scenario.source_text(), scenario, {}, 1, false, {}};
}

Study Study::read(const Yaml& document) {
  const std::filesystem::path file = document.file();
  document.allow_only({"name", "description", "scenario", "set", "axes", "replications", "baseline"});
  const Yaml named = document["scenario"];
  Study study = of(named.is_map() ? named : Yaml::load(file.parent_path() / named.text()));
  if (const auto set = document.find("set"))
    for (const auto& [path, value] : set->entries()) {
      Axis fixed{path, path, {value_of(path, value)}};
      study.axes.push_back(std::move(fixed));
    }
  study.name = document["name"].name();
  if (const auto description = document.find("description")) study.description = description->text();
  study.file = file.string();
  study.text = document.source_text();
  if (const auto axes = document.find("axes"))
    for (const auto& [name, y] : axes->entries()) {
      for (const Axis& other : study.axes)
        if (other.name == name) y.fail("an axis whose name is not set above");
      study.axes.push_back(read_axis(name, y));
      if (study.points() > kMostPoints) y.fail(fmt::format("a grid of at most {} points", kMostPoints));
    }
  if (const auto replications = document.find("replications")) {
    if (replications->is_map()) {
      replications->allow_only({"count", "by"});
      study.replications = (*replications)["count"].integer(1, 100'000);
      study.by_requests = (*replications)["by"].choice<bool>({{"seed", false}, {"requests", true}});
    } else {
      study.replications = replications->integer(1, 100'000);
    }
  }
  if (const auto baseline = document.find("baseline")) study.baseline = read_baseline(*baseline, study.axes);
  return study;
}

Study Study::base_of(const std::filesystem::path& file) {
  const Yaml document = Yaml::load(file);
  if (!document.find("scenario")) return of(document);
  Study study = read(document);
  std::erase_if(study.axes, [](const Axis& axis) { return axis.values.size() > 1; });
  study.replications = 1;
  study.by_requests = false;
  study.baseline = {};
  return study;
}

Yaml Study::document() const {
  std::vector<Edit> fixed;
  for (const Axis& axis : axes)
    if (axis.values.size() == 1)
      for (const Edit& edit : sort_edits(axis.values.front().edits).scenario)
        if (!edit.path.starts_with("model.")) fixed.push_back(edit);
  return apply_edits(scenario, fixed);
}

std::size_t Study::points() const {
  std::size_t count = 1;
  for (const Axis& axis : axes) count *= axis.values.size();
  return count;
}

std::vector<std::size_t> Study::places(std::size_t point) const {
  std::vector<std::size_t> places(axes.size());
  for (std::size_t i = axes.size(); i-- > 0;) {
    places[i] = point % axes[i].values.size();
    point /= axes[i].values.size();
  }
  return places;
}

std::size_t Study::point(const std::vector<std::size_t>& places) const {
  std::size_t point = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) point = point * axes[i].values.size() + places[i];
  return point;
}

std::string Study::label(std::size_t point) const {
  std::string label;
  const auto at = places(point);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].values.size() == 1) continue;
    const std::string& value = axes[i].values[at[i]].label;
    label +=
        fmt::format("{}{}{}", label.empty() ? "" : ", ", axes[i].speaks ? "" : axes[i].name + " ", value);
  }
  return label;
}

std::int64_t Study::seed(std::int64_t replication) const {
  const std::int64_t base =
      scenario["seed"].integer(0, std::numeric_limits<std::int64_t>::max() - replication);
  return by_requests ? base : base + replication;
}

std::vector<Edit> Study::edits(std::size_t point, std::int64_t replication) const {
  std::vector<Edit> edits;
  const auto at = places(point);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto& more = axes[i].values[at[i]].edits;
    edits.insert(edits.end(), more.begin(), more.end());
  }
  if (replication == 0) return edits;
  if (!by_requests) {
    edits.push_back({"seed", scenario.replaced(std::to_string(seed(replication)))});
    return edits;
  }
  const Yaml load = apply_edits(scenario, sort_edits(edits).scenario)["workload"];
  const auto first = load.find("first_request");
  const std::int64_t start = first ? first->integer(0, 1'000'000'000) : 0;
  edits.push_back(
      {"workload.first_request",
       scenario.replaced(std::to_string(start + replication * load["requests"].integer(1, 1'000'000'000)))});
  return edits;
}

}  // namespace specmoe
