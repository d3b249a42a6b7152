#include "validation/compare/cases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/math/tools/minima.hpp>
#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "sim/base/statistics.hpp"
#include "sim/results/recorder.hpp"

namespace specmoe {

namespace {

/// What the summary does not tell.
struct More : EngineObserver {
  More(EngineObserver& observer, const MoeModel& of) : next(observer), model(of) {}
  void step_ended(const StepRecord& step) override {
    if (step.prefill) {
      tokens += static_cast<double>(step.tokens);
      time += step.duration().value;
      waited += step.expert_wait.value;
    } else {
      add_blocks(step);
    }
    next.step_ended(step);
  }
  void run_ended(std::int64_t useless, Bytes peak) override { next.run_ended(useless, peak); }

  void add_blocks(const StepRecord& step) {
    Seconds before = step.start;
    for (std::size_t i = 0; i < model.blocks.size(); ++i) {
      const Seconds end = step.block_end[i];
      if (model.blocks[i].moe_layer >= 0 && end > before) {
        block_time += (end - before).value;
        ++blocks;
      }
      before = std::max(before, end);
    }
  }

  EngineObserver& next;
  const MoeModel& model;
  double tokens = 0, time = 0, waited = 0;  // prefill's
  double block_time = 0;                    // of so many MoE blocks in decode
  double blocks = 0;
};

double value_of(CaseMetric metric, const RunSummary& s, const More& more) {
  switch (metric) {
    case CaseMetric::tokens_per_second:
      return s.tokens_per_second;
    case CaseMetric::all_tokens_per_second:
      return (more.tokens + static_cast<double>(s.decoded_tokens)) / s.total_time;
    case CaseMetric::output_tokens_per_second:
      return static_cast<double>(s.decoded_tokens) / s.total_time;
    case CaseMetric::moe_block:
      return more.block_time / more.blocks;
    case CaseMetric::prompt_tokens_per_second:
      return more.tokens / more.time;
    case CaseMetric::prefill_wait_share:
      return more.waited / more.time;
    case CaseMetric::tpot:
      return s.tpot;
    case CaseMetric::expert_wait:
      return s.expert_wait;
    case CaseMetric::wait_share:
      return s.expert_wait / s.tpot;
    case CaseMetric::hit_rate:
      return s.hit_rate;
  }
  return 0;
}

/// What is simulated: a scenario after edits, and one of its strategies.
struct Point {
  std::vector<Edit> edits;
  std::string strategy;

  std::string key() const {
    std::string all = strategy;
    for (const Edit& edit : edits) all += "\n" + edit.path + ": " + edit.value.written();
    return all;
  }
};

// [metric] of a simulation in this process. @param where names the row, for errors
std::string simulate_point(const Yaml& document, const Point& point, const std::string& where) {
  try {
    std::vector<RefusedStrategy> refused;
    const Scenario scenario = Scenario::read(document, point.edits, &refused);
    for (const RefusedStrategy& each : refused)
      if (each.name == point.strategy) throw InputError("", 0, each.why);
    const auto strategy = std::find_if(scenario.strategies.begin(), scenario.strategies.end(),
                                       [&](const Strategy& s) { return s.name == point.strategy; });
    if (strategy == scenario.strategies.end()) throw std::logic_error("a strategy of a case is gone");
    Recorder recorder(scenario, *strategy);
    More more(recorder, scenario.model);
    const auto source = scenario.routing.open();
    const SimulationEnd end = simulate(
        scenario.platform,
        [&](Machine& machine) {
          run_engine(machine, scenario.model, *source, scenario.workload, strategy->settings, more);
        },
        &recorder);
    const RunSummary summary = recorder.finish(end);
    std::string values;
    for (int metric = 0; metric <= static_cast<int>(CaseMetric::hit_rate); ++metric)
      values += fmt::format("{} ", value_of(static_cast<CaseMetric>(metric), summary, more));
    return values;
  } catch (const InputError& error) {
    throw InputError("", 0, fmt::format("{}: {}", where, error.what()));
  }
}

/// Simulations of one case, each made once.
class Simulations {
 public:
  Simulations(const Yaml& document, int jobs) : document_(document), jobs_(jobs) {}

  void want(const Point& point, const std::string& where) {
    if (values_.contains(point.key()) || !wanted_.emplace(point.key()).second) return;
    keys_.push_back(point.key());
    works_.push_back([this, point, where] { return simulate_point(document_, point, where); });
  }
  void run() {
    const std::vector<std::string> results = run_isolated(works_, jobs_);
    for (std::size_t i = 0; i < results.size(); ++i) {
      std::istringstream in(results[i]);
      std::vector<double>& values = values_[keys_[i]];
      for (double value = 0; in >> value;) values.push_back(value);
    }
    works_.clear();
    keys_.clear();
    wanted_.clear();
  }
  double at(const Point& point, CaseMetric metric) const {
    return values_.at(point.key()).at(static_cast<std::size_t>(metric));
  }

 private:
  const Yaml& document_;
  int jobs_;
  std::vector<IsolatedWork> works_;
  std::vector<std::string> keys_;
  std::set<std::string> wanted_;
  std::map<std::string, std::vector<double>> values_;
};

std::vector<Edit> joined(std::initializer_list<const std::vector<Edit>*> all) {
  std::vector<Edit> edits;
  for (const auto* some : all) edits.insert(edits.end(), some->begin(), some->end());
  return edits;
}

/// A machine's rows under values of the constants.
class MachineRuns {
 public:
  MachineRuns(const PublishedCase& of, CaseMachine& machine, int jobs)
      : machine_(machine), simulations_(of.scenario, jobs) {}

  /// Simulates those that `chosen` says, each with its `simulated`.
  template <class Chosen>
  void simulate(const std::vector<Edit>& constants, Chosen&& chosen) {
    const auto for_each = [&](auto&& visit) {
      for (CaseTable& table : machine_.tables)
        for (CaseRow& row : table.rows)
          if (chosen(row)) {
            const std::vector<Edit> edits = joined({&machine_.edits, &constants, &table.edits, &row.edits});
            visit(row, Point{edits, row.strategy}, Point{edits, row.over});
          }
    };
    for_each([&](const CaseRow& row, const Point& own, const Point& over) {
      simulations_.want(own, row.where);
      if (!row.over.empty()) simulations_.want(over, row.where);
    });
    simulations_.run();
    for_each([&](CaseRow& row, const Point& own, const Point& over) {
      row.simulated = simulations_.at(own, row.metric);
      if (!row.over.empty()) row.simulated /= simulations_.at(over, row.metric);
    });
  }

  /// Half way, on a logarithmic scale.
  Edit start(const CaseConstant& constant) const {
    return edit_of(constant, std::sqrt(constant.low.magnitude() * constant.high.magnitude()));
  }

  /// The value of constants[place] that makes the sum of squared ln(simulated / published) over its rows least.
  Edit fit(const CaseConstant& constant, std::vector<Edit> constants, std::size_t place) {
    const auto serves = [&](const CaseRow& row) {
      return row.calibrate &&
             (constant.strategies.empty() || std::find(constant.strategies.begin(), constant.strategies.end(),
                                                       row.strategy) != constant.strategies.end());
    };
    // From low to high on a logarithmic scale, 0 to 1.
    const double low = constant.low.magnitude(), span = std::log(constant.high.magnitude() / low);
    const auto loss = [&](double share) {
      constants[place] = edit_of(constant, low * std::exp(share * span));
      simulate(constants, serves);
      double sum = 0;
      for (const CaseTable& table : machine_.tables)
        for (const CaseRow& row : table.rows)
          if (serves(row)) sum += std::pow(std::log(row.simulated / row.published), 2);
      return sum;
    };
    constexpr int kBits = 10;
    const auto [at, least] = boost::math::tools::brent_find_minima(loss, 0.0, 1.0, kBits);
    return edit_of(constant, low * std::exp(at * span));
  }

 private:
  // @param value in base units; written in the unit of `low`
  static Edit edit_of(const CaseConstant& constant, double value) {
    const auto [low, unit] = constant.low.number_and_unit();
    return {constant.path,
            constant.low.replaced(fmt::format("{:.4g}{}", value * low / constant.low.magnitude(), unit))};
  }

  CaseMachine& machine_;
  Simulations simulations_;
};

}  // namespace

std::string_view name_of(CaseClass kind) {
  constexpr std::array names{"gpu", "link", "cpu", "hybrid", "disk", "cache"};
  return names.at(static_cast<std::size_t>(kind));
}

void simulate_case(PublishedCase& each, int jobs, const std::function<void(const std::string&)>& say) {
  for (CaseMachine& machine : each.machines) {
    say(fmt::format("{}: {}\n", each.name, machine.name));
    MachineRuns runs(each, machine, jobs);
    std::vector<Edit> constants;
    for (const CaseConstant& constant : each.constants) constants.push_back(runs.start(constant));
    // One after another, since each has rows of its own; again where one's rows feel another a little.
    const int passes = each.constants.size() > 1 ? 3 : 1;
    for (int pass = 0; pass < passes; ++pass)
      for (std::size_t i = 0; i < constants.size(); ++i)
        constants[i] = runs.fit(each.constants[i], constants, i);
    for (const Edit& constant : constants) machine.fitted.push_back(constant.value.text());
    runs.simulate(constants, [](const CaseRow&) { return true; });
  }
}

std::vector<std::string> wrong_orders(const PublishedCase& each) {
  constexpr double kSame = 0.03;
  std::vector<std::string> wrong;
  for (const CaseMachine& machine : each.machines)
    for (const CaseTable& table : machine.tables)
      for (std::size_t i = 0; i < table.rows.size(); ++i) {
        if (const CaseRow& row = table.rows[i];
            !row.over.empty() && std::log(row.published) * std::log(row.simulated) < 0)
          wrong.push_back(fmt::format("{}, {}, {}: {} and {}", each.name, machine.name, table.name,
                                      row.strategy, row.over));
        for (std::size_t j = i + 1; j < table.rows.size(); ++j) {
          const CaseRow &a = table.rows[i], &b = table.rows[j];
          if (a.metric != b.metric || a.over != b.over) continue;
          const double published = std::log(a.published / b.published);
          if (std::abs(published) < kSame || published * std::log(a.simulated / b.simulated) > 0) continue;
          wrong.push_back(fmt::format("{}, {}, {}: {} and {}", each.name, machine.name, table.name,
                                      a.strategy, b.strategy));
        }
      }
  return wrong;
}

std::vector<CaseErrors> case_errors(const std::vector<PublishedCase>& cases) {
  struct Rows {
    std::vector<double> absolute, speeds;
    double worst = 0;
  };
  std::map<std::string, Rows> by_class;
  for (const PublishedCase& each : cases)
    for (const CaseMachine& machine : each.machines)
      for (const CaseTable& table : machine.tables)
        for (const CaseRow& row : table.rows) {
          if (row.calibrate) continue;
          const bool time = row.metric == CaseMetric::tpot;
          const bool speed = row.over.empty() && (time || row.metric == CaseMetric::tokens_per_second ||
                                                  row.metric == CaseMetric::output_tokens_per_second ||
                                                  row.metric == CaseMetric::all_tokens_per_second);
          for (const std::string& kind : {std::string(name_of(row.kind)), std::string("all")}) {
            Rows& rows = by_class[kind];
            rows.absolute.push_back(std::abs(row.error()));
            if (std::abs(row.error()) > std::abs(rows.worst)) rows.worst = row.error();
            if (speed)
              rows.speeds.push_back(time ? row.simulated / row.published : row.published / row.simulated);
          }
        }
  std::vector<CaseErrors> errors;
  for (const char* kind : {"gpu", "link", "cpu", "hybrid", "disk", "cache", "all"}) {
    const auto found = by_class.find(kind);
    if (found == by_class.end()) continue;
    const Rows& rows = found->second;
    CaseErrors e{kind, rows.absolute.size(), quantile(rows.absolute, 0.5), rows.worst, rows.speeds.size()};
    if (!rows.speeds.empty()) {
      e.low = quantile(rows.speeds, 0.1);
      e.high = quantile(rows.speeds, 0.9);
    }
    errors.push_back(e);
  }
  return errors;
}

}  // namespace specmoe
