#include "sim/study/cells.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "sim/base/comparison.hpp"
#include "sim/base/random.hpp"

namespace specmoe {

namespace {

double number_of(const RunSummary& summary, std::string_view metric) {
  double number = std::numeric_limits<double>::quiet_NaN();
  for_each_field(summary, [&](std::string_view name, const auto& field) {
    if (name == metric) number = as_number(field);
  });
  return number;
}

Estimate mean_of(const std::vector<double>& values, const Random& random) {
  return bootstrap(
      values.size(),
      [&](std::span<const std::size_t> drawn) {
        double sum = 0;
        for (const std::size_t i : drawn) sum += values[i];
        return sum / static_cast<double>(drawn.size());
      },
      random);
}

// Point and strategy that a cell is compared with.
std::pair<std::int32_t, std::int32_t> baseline_place(const Study& study, const Plan& plan,
                                                     const StudyCell& cell) {
  auto places = study.places(static_cast<std::size_t>(cell.point));
  for (std::size_t i = 0; i < places.size(); ++i)
    if (const auto found = study.baseline.axes.find(study.axes[i].name); found != study.baseline.axes.end())
      places[i] = found->second;
  const std::string& name = study.baseline.strategy;
  const auto strategy =
      name.empty()
          ? cell.strategy
          : static_cast<std::int32_t>(std::find(plan.strategies.begin(), plan.strategies.end(), name) -
                                      plan.strategies.begin());
  return {static_cast<std::int32_t>(study.point(places)), strategy};
}

bool is_baseline(const Study& study, const Plan& plan, const StudyCell& cell) {
  return baseline_place(study, plan, cell) == std::pair(cell.point, cell.strategy);
}

// None for the baseline itself, and where it cannot run.
const StudyCell* baseline_of(const Study& study, const Plan& plan, const StudyCell& cell) {
  if (!study.baseline.any() || is_baseline(study, plan, cell)) return nullptr;
  const auto [point, strategy] = baseline_place(study, plan, cell);
  const auto first = std::lower_bound(plan.cells.begin(), plan.cells.end(), point,
                                      [](const StudyCell& c, std::int32_t p) { return c.point < p; });
  for (auto each = first; each != plan.cells.end() && each->point == point; ++each)
    if (each->strategy == strategy && each->refused.empty()) return &*each;
  return nullptr;
}

std::string interval(const Estimate& e, double scale, int digits) {
  if (std::isnan(e.value)) return "-";
  if (e.degenerate) return fmt::format("{:.{}f}", e.value * scale, digits);
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", e.value * scale, digits, e.low * scale, digits,
                     e.high * scale, digits);
}

}  // namespace

std::vector<CellSummary> summarise(const Study& study, const Plan& plan,
                                   const std::function<RunSummary(std::size_t)>& result) {
  const auto n = static_cast<std::size_t>(study.replications);
  const auto of = [&](const StudyCell& cell, std::string_view metric) {
    std::vector<double> values;
    for (std::size_t i = 0; i < n; ++i) values.push_back(number_of(result(cell.first_run + i), metric));
    return values;
  };
  const Random random = Random::stream(static_cast<std::uint64_t>(study.seed(0)), "study intervals");
  std::vector<CellSummary> cells(plan.cells.size());
  std::vector<double> p_values(cells.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t c = 0; c < cells.size(); ++c) {
    const StudyCell& cell = plan.cells[c];
    if (!cell.refused.empty()) {
      cells[c].metrics.fill(cells[c].gain);
      continue;
    }
    for (std::size_t m = 0; m < kCellMetrics.size(); ++m)
      cells[c].metrics[m] = mean_of(of(cell, kCellMetrics[m]), random);
    const StudyCell* base = baseline_of(study, plan, cell);
    if (!base) continue;
    const PairedComparison compared =
        compare_paired(of(cell, "tokens_per_second"), of(*base, "tokens_per_second"), random);
    cells[c].gain = compared.ratio;
    cells[c].effect = compared.hedges_g;
    p_values[c] = compared.t_test_p;
  }
  const std::vector<double> corrected = holm(p_values);
  for (std::size_t c = 0; c < cells.size(); ++c) cells[c].p = corrected[c];
  return cells;
}

std::string study_table(const Study& study, const Plan& plan, const std::vector<CellSummary>& cells,
                        std::size_t most) {
  std::size_t label_width = 5, name_width = 8, shown = std::min(most, cells.size()), refused = 0, same = 0,
              alone = 0;
  for (std::size_t c = 0; c < shown; ++c) {
    label_width = std::max(label_width, study.label(static_cast<std::size_t>(plan.cells[c].point)).size());
    name_width =
        std::max(name_width, plan.strategies[static_cast<std::size_t>(plan.cells[c].strategy)].size());
  }
  std::string text = fmt::format("{:<{}}  {:<{}}{:>24}{:>24}{:>22}", "point", label_width, "strategy",
                                 name_width, "TPOT ms", "decode tok/s", "hit %");
  if (study.baseline.any()) text += fmt::format("{:>25}{:>9}", "of the baseline", "p");
  text += "\n";
  for (std::size_t c = 0; c < cells.size(); ++c) {
    const StudyCell& cell = plan.cells[c];
    const auto& m = cells[c].metrics;
    refused += !cell.refused.empty();
    same += cell.refused.empty() && study.replications > 1 && m[0].degenerate;
    alone += study.baseline.any() && cell.refused.empty() && std::isnan(cells[c].gain.value) &&
             !is_baseline(study, plan, cell);
    if (c >= shown) continue;
    text += fmt::format("{:<{}}  {:<{}}", study.label(static_cast<std::size_t>(cell.point)), label_width,
                        plan.strategies[static_cast<std::size_t>(cell.strategy)], name_width);
    if (!cell.refused.empty()) {
      text += fmt::format("  cannot run: {}\n", cell.refused);
      continue;
    }
    text += fmt::format("{:>24}{:>24}{:>22}", interval(m[0], 1e3, 2), interval(m[2], 1, 1),
                        interval(m[3], 100, 1));
    if (study.baseline.any())
      text += fmt::format("{:>25}{:>9}", interval(cells[c].gain, 1, 3),
                          std::isnan(cells[c].p) ? "-" : fmt::format("{:.2g}", cells[c].p));
    text += "\n";
  }
  if (shown < cells.size()) text += fmt::format("... and {} more\n", cells.size() - shown);
  text += fmt::format("\n{} replication{} a cell", study.replications, study.replications == 1 ? "" : "s");
  if (study.replications > 1)
    text += "; mean [95 % interval, BCa bootstrap]; the ratio is paired by seed; p: paired t test, Holm";
  text += "\n";
  if (same > 0)
    text += fmt::format("warning: {} cells do not vary over replications: no interval can be made of them\n",
                        same);
  if (alone > 0) text += fmt::format("warning: {} cells have no baseline: it cannot run there\n", alone);
  if (refused > 0) text += fmt::format("{} cells cannot run; study.h5 says why of each\n", refused);
  return text;
}

std::vector<std::size_t> pareto_front(const std::vector<double>& gain, const std::vector<double>& cost) {
  std::vector<std::size_t> order, front;
  for (std::size_t i = 0; i < gain.size(); ++i)
    if (std::isfinite(gain[i]) && std::isfinite(cost[i])) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return cost[a] < cost[b] || (cost[a] == cost[b] && gain[a] > gain[b]);
  });
  for (const std::size_t i : order)
    if (front.empty() || gain[i] > gain[front.back()]) front.push_back(i);
  return front;
}

std::string pareto_table(const Study& study, const Plan& plan, const std::vector<CellSummary>& cells) {
  std::vector<double> speed, memory, energy, price;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    speed.push_back(cells[c].metrics[2].value);
    memory.push_back(cells[c].metrics[5].value * 1e-9);
    energy.push_back(cells[c].metrics[4].value);
    price.push_back(plan.points[static_cast<std::size_t>(plan.cells[c].point)].price);
  }
  std::string text;
  const auto add = [&](const char* name, const char* unit, const std::vector<double>& cost) {
    text += fmt::format("\ndecoded tokens a second against {}:\n", name);
    for (const std::size_t c : pareto_front(speed, cost))
      text += fmt::format("{:>10.1f} tok/s{:>12.6g} {:<8}  {}, {}\n", speed[c], cost[c], unit,
                          study.label(static_cast<std::size_t>(plan.cells[c].point)),
                          plan.strategies[static_cast<std::size_t>(plan.cells[c].strategy)]);
  };
  add("GPU memory", "GB", memory);
  add("energy", "J/token", energy);
  add("price", "USD", price);
  return text;
}

}  // namespace specmoe
