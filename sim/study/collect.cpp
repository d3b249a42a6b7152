#include "sim/study/collect.hpp"

#include <fmt/format.h>
#include <fmt/os.h>

#include <cmath>
#include <map>

#include "sim/base/build_info.hpp"
#include "sim/base/csv.hpp"
#include "sim/base/h5.hpp"
#include "sim/base/unfinished_file.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

namespace {

bool is_one_at_a_time(const Study& study) {
  std::size_t axes = 0, such = 0;
  for (const Axis& axis : study.axes) {
    axes += axis.values.size() > 1;
    such += axis.one_at_a_time;
  }
  return axes == 1 && such == 1;
}

std::string baseline_text(const Study& study) {
  std::string text = study.baseline.strategy;
  for (const auto& [name, place] : study.baseline.axes)
    for (const Axis& axis : study.axes)
      if (axis.name == name)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, axis.values[place].label);
  return text;
}

void write_points(H5File& file, const Study& study, const Plan& plan) {
  std::vector<std::string> names, paths, labels, platforms, models;
  std::vector<std::int64_t> batches;
  std::vector<double> shares, prices;
  for (const Axis& axis : study.axes) {
    names.push_back(axis.name);
    paths.push_back(axis.path);
  }
  for (std::size_t p = 0; p < plan.points.size(); ++p) {
    labels.push_back(study.label(p));
    platforms.push_back(plan.points[p].platform);
    models.push_back(plan.points[p].model);
    batches.push_back(plan.points[p].batch);
    shares.push_back(plan.points[p].capacity_share);
    prices.push_back(plan.points[p].price);
  }
  file.write_strings("/axes/name", names);
  file.write_strings("/axes/path", paths);
  file.write_strings("/points/label", labels);
  file.write_strings("/points/platform", platforms);
  file.write_strings("/points/model", models);
  file.write("/points/batch", batches);
  file.write("/points/capacity_share", shares);
  file.write("/points/price", prices);
  for (std::size_t a = 0; a < study.axes.size(); ++a) {
    std::vector<std::string> values, changed;
    std::vector<double> numbers, factors;
    for (std::size_t p = 0; p < plan.points.size(); ++p) {
      const AxisValue& value = study.axes[a].values[study.places(p)[a]];
      values.push_back(value.label);
      numbers.push_back(value.number);
      changed.push_back(value.edits.empty() ? "" : value.edits.front().path);
      factors.push_back(value.number);
    }
    file.write_strings("/points/values/" + study.axes[a].name, values);
    file.write("/points/numbers/" + study.axes[a].name, numbers);
    if (!study.axes[a].one_at_a_time) continue;
    file.write_strings("/points/changed", changed);
    file.write("/points/factor", factors);
  }
}

void write_cells(H5File& file, const Plan& plan, const std::vector<CellSummary>& cells) {
  std::vector<std::int64_t> points;
  std::vector<std::string> strategies, refused;
  std::map<std::string, std::vector<double>> columns;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    points.push_back(plan.cells[c].point);
    strategies.push_back(plan.strategies[static_cast<std::size_t>(plan.cells[c].strategy)]);
    refused.push_back(plan.cells[c].refused);
    const auto add = [&](const std::string& name, const Estimate& e) {
      columns[name].push_back(e.value);
      columns[name + "_low"].push_back(e.low);
      columns[name + "_high"].push_back(e.high);
    };
    for (std::size_t m = 0; m < kCellMetrics.size(); ++m) add(kCellMetrics[m], cells[c].metrics[m]);
    add("gain", cells[c].gain);
    add("effect", cells[c].effect);
    columns["p"].push_back(cells[c].p);
  }
  file.write("/cells/point", points);
  file.write_strings("/cells/strategy", strategies);
  file.write_strings("/cells/refused", refused);
  for (const auto& [name, column] : columns) file.write("/cells/" + name, column);
}

// The columns of /runs and /decode_steps, and the lines of runs.csv.
class RunColumns {
 public:
  RunColumns(H5File& file, const std::filesystem::path& csv)
      : file_(file),
        csv_(fmt::output_file(csv.string())),
        point_(file, "/runs/point", H5Growing::Type::int64),
        replication_(file, "/runs/replication", H5Growing::Type::int64),
        seed_(file, "/runs/seed", H5Growing::Type::int64),
        first_(file, "/decode_steps/first", H5Growing::Type::int64),
        count_(file, "/decode_steps/count", H5Growing::Type::int64),
        duration_(file, "/decode_steps/duration", H5Growing::Type::float32) {
    csv_.print("run,label,strategy,replication,seed");
    RunSummary names;
    for_each_field(names, [&](const std::string& name, const auto&) {
      numbers_.emplace_back(file, "/runs/" + name, H5Growing::Type::float64);
      csv_.print(",{}", name);
    });
    csv_.print("\n");
  }

  void add(const Study& study, const StudyRun& run, const std::string& strategy, const RunResult& result) {
    point_.append(std::int64_t{run.point});
    replication_.append(std::int64_t{run.replication});
    seed_.append(study.seed(run.replication));
    strategies_.push_back(strategy);
    csv_.print("{},{},{},{},{}", strategies_.size() - 1,
               csv_field(study.label(static_cast<std::size_t>(run.point))), csv_field(strategy),
               run.replication, study.seed(run.replication));
    std::size_t i = 0;
    for_each_field(result.summary, [&](const char*, const auto& field) {
      const double number = as_number(field);
      numbers_[i++].append(number);
      csv_.print("{}", std::isfinite(number) ? fmt::format(",{}", number) : ",");
    });
    csv_.print("\n");
    first_.append(steps_);
    count_.append(static_cast<std::int64_t>(result.decode_steps.size()));
    duration_.append(std::vector<double>(result.decode_steps.begin(), result.decode_steps.end()));
    steps_ += static_cast<std::int64_t>(result.decode_steps.size());
  }

  void finish() {
    for (H5Growing* column : {&point_, &replication_, &seed_, &first_, &count_, &duration_}) column->flush();
    for (H5Growing& column : numbers_) column.flush();
    file_.write_strings("/runs/strategy", strategies_);
    csv_.close();
  }

 private:
  H5File& file_;
  fmt::ostream csv_;
  H5Growing point_, replication_, seed_, first_, count_, duration_;
  std::vector<H5Growing> numbers_;
  std::vector<std::string> strategies_;
  std::int64_t steps_ = 0;
};

}  // namespace

std::vector<CellSummary> collect(const Study& study, const Plan& plan, const Journal& journal,
                                 const std::filesystem::path& folder) {
  const auto result = [&](std::size_t run) { return RunResult::parse(journal.read(plan.runs[run].key)); };
  UnfinishedFile h5(folder / "study.h5"), csv(folder / "runs.csv");
  const std::vector<CellSummary> cells =
      summarise(study, plan, [&](std::size_t run) { return result(run).summary; });
  {
    H5File file = H5File::create(h5.path());
    file.set("/", "format", "specmoe-study");
    file.set("/", "version", std::int64_t{1});
    file.set("/", "specmoe", version());
    file.set("/", "simgrid", simgrid_version());
    file.set("/", "study", study.name);
    file.set("/", "description", study.description);
    file.set("/", "replications", study.replications);
    file.set("/", "design", is_one_at_a_time(study) ? "one-at-a-time" : "grid");
    file.set("/", "baseline", baseline_text(study));
    file.write_strings("/study", {study.text});
    file.write_strings("/scenario", {study.scenario.source_text()});
    write_points(file, study, plan);
    RunColumns columns(file, csv.path());
    for (std::size_t i = 0; i < plan.runs.size(); ++i)
      columns.add(study, plan.runs[i], plan.strategies[static_cast<std::size_t>(plan.runs[i].strategy)],
                  result(i));
    columns.finish();
    write_cells(file, plan, cells);
  }
  h5.publish();
  csv.publish();
  return cells;
}

}  // namespace specmoe
