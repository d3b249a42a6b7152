// A study for the page: its points and cells as they are, and of its runs the means and step durations by cell.
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "sim/base/input_error.hpp"
#include "sim/report/page_json.hpp"

namespace specmoe {

namespace {

using Json = nlohmann::ordered_json;

/// Distribution points of all cells together.
constexpr std::size_t kMostPoints = 60'000;

using Cell = std::pair<std::int64_t, std::string>;  // point, strategy

struct Runs {
  /// Index of the cell that a run belongs to, -1 of a run that was refused.
  std::vector<std::int64_t> cell;
  std::size_t cells = 0;
};

// The mean over the runs of a cell, of those that have the number.
std::vector<double> means(const Runs& runs, const std::vector<double>& values) {
  std::vector<double> sum(runs.cells), count(runs.cells);
  for (std::size_t i = 0; i < runs.cell.size() && i < values.size(); ++i) {
    if (runs.cell[i] < 0 || !std::isfinite(values[i])) continue;
    sum[static_cast<std::size_t>(runs.cell[i])] += values[i];
    ++count[static_cast<std::size_t>(runs.cell[i])];
  }
  for (std::size_t i = 0; i < runs.cells; ++i)
    sum[i] = count[i] > 0 ? sum[i] / count[i] : std::numeric_limits<double>::quiet_NaN();
  return sum;
}

Json points(const H5File& file) {
  Json out;
  for (const char* name : {"label", "platform", "model"})
    out[name] = file.read_strings(std::string("/points/") + name);
  for (const char* name : {"batch", "capacity_share", "price"})
    out[name] = rounded(file.read<double>(std::string("/points/") + name));
  out["values"] = Json::object();
  out["numbers"] = Json::object();
  for (const std::string& axis : file.read_strings("/axes/name")) {
    out["values"][axis] = file.read_strings("/points/values/" + axis);
    out["numbers"][axis] = rounded(file.read<double>("/points/numbers/" + axis));
  }
  if (file.exists("/points/changed")) {
    out["changed"] = file.read_strings("/points/changed");
    out["factor"] = rounded(file.read<double>("/points/factor"));
  }
  return out;
}

Json distributions(const H5File& file, const Runs& runs) {
  if (!file.exists("/decode_steps")) return nullptr;
  const auto first = file.read<std::int64_t>("/decode_steps/first"),
             count = file.read<std::int64_t>("/decode_steps/count");
  const auto duration = file.read<float>("/decode_steps/duration");
  std::vector<std::vector<double>> of_cell(runs.cells);
  for (std::size_t i = 0; i < runs.cell.size() && i < first.size(); ++i) {
    if (runs.cell[i] < 0) continue;
    if (i >= count.size() || first[i] < 0 || count[i] < 0 || first[i] > std::ssize(duration) ||
        count[i] > std::ssize(duration) - first[i])
      throw InputError(file.name(), 0, "steps of a run lie beyond /decode_steps/duration", "a whole file");
    std::vector<double>& all = of_cell[static_cast<std::size_t>(runs.cell[i])];
    all.insert(all.end(), duration.begin() + first[i], duration.begin() + first[i] + count[i]);
  }
  const std::size_t most =
      std::clamp<std::size_t>(kMostPoints / std::max<std::size_t>(1, runs.cells), 20, 200);
  Json out = Json::array();
  for (auto& durations : of_cell) out.push_back(distribution(std::move(durations), most));
  return out;
}

}  // namespace

Json study_data(const H5File& file) {
  Json out{{"file", std::filesystem::path(file.name()).filename().string()}};
  for (const char* name : {"study", "description", "design", "baseline", "specmoe"})
    out[name] = file.get_string("/", name);
  out["axes"] = {{"name", file.read_strings("/axes/name")}, {"path", file.read_strings("/axes/path")}};
  out["points"] = points(file);

  const auto cell_point = file.read<std::int64_t>("/cells/point");
  const auto cell_strategy = file.read_strings("/cells/strategy");
  Json cells{{"point", cell_point}, {"strategy", cell_strategy}};
  const auto add = [&](const std::string& name) {
    if (file.exists("/cells/" + name)) cells[name] = rounded(file.read<double>("/cells/" + name));
  };
  for (const std::string metric :
       {"tpot", "ttft", "tokens_per_second", "hit_rate", "energy_per_token", "gain", "effect"})
    for (const char* end : {"", "_low", "_high"}) add(metric + end);
  add("p");

  std::map<Cell, std::int64_t> index;
  for (std::size_t i = 0; i < cell_point.size() && i < cell_strategy.size(); ++i)
    index[{cell_point[i], cell_strategy[i]}] = static_cast<std::int64_t>(i);
  const auto point = file.read<std::int64_t>("/runs/point");
  const auto strategy = file.read_strings("/runs/strategy");
  const auto texts = [&](const std::string& path) {
    return file.exists(path) ? file.read_strings(path) : std::vector<std::string>();
  };
  // What could not run has a cell that says why, or runs that do.
  const auto refused_cells = texts("/cells/refused"), refused_runs = texts("/runs/refused");
  out["refused"] = Json::array();
  const auto refuse = [&](std::int64_t at, const std::string& name, const std::string& why) {
    if (!why.empty()) out["refused"].push_back({{"point", at}, {"strategy", name}, {"why", why}});
    return !why.empty();
  };
  if (cell_strategy.size() != cell_point.size() || refused_cells.size() > cell_point.size() ||
      strategy.size() != point.size())
    throw InputError(file.name(), 0, "/cells or /runs: columns differ in length", "one value a row in each");
  for (std::size_t i = 0; i < refused_cells.size(); ++i)
    refuse(cell_point.at(i), cell_strategy.at(i), refused_cells[i]);
  Runs runs{{}, cell_point.size()};
  std::vector<std::int64_t> count(cell_point.size());
  for (std::size_t i = 0; i < point.size(); ++i) {
    if (i < refused_runs.size() && refuse(point[i], strategy.at(i), refused_runs[i])) {
      runs.cell.push_back(-1);
      continue;
    }
    const auto found = index.find({point[i], strategy.at(i)});
    if (found == index.end()) throw InputError(file.name(), 0, "/runs has a run of no cell", "a whole file");
    runs.cell.push_back(found->second);
    ++count[static_cast<std::size_t>(found->second)];
  }
  cells["runs"] = count;
  out["cells"] = cells;
  Json means_of = Json::object();
  for (const char* name : {"peak_gpu_memory", "cache_capacity", "exposed_stall", "expert_wait",
                           "critical_path", "gpu_utilisation", "deduplicated", "energy_per_token"})
    if (const std::string path = std::string("/runs/") + name; file.exists(path))
      means_of[name] = rounded(means(runs, file.read<double>(path)));
  out["means"] = means_of;
  out["decode"] = distributions(file, runs);
  return out;
}

}  // namespace specmoe
