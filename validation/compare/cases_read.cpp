#include <fmt/format.h>

#include <algorithm>

#include "sim/base/input_error.hpp"
#include "validation/compare/cases.hpp"

namespace specmoe {

namespace {

CaseMetric read_metric(const Yaml& node) {
  using enum CaseMetric;
  return node.choice<CaseMetric>({{"tokens_per_second", tokens_per_second},
                                  {"all_tokens_per_second", all_tokens_per_second},
                                  {"output_tokens_per_second", output_tokens_per_second},
                                  {"moe_block", moe_block},
                                  {"prompt_tokens_per_second", prompt_tokens_per_second},
                                  {"tpot", tpot},
                                  {"expert_wait", expert_wait},
                                  {"wait_share", wait_share},
                                  {"prefill_wait_share", prefill_wait_share},
                                  {"hit_rate", hit_rate}});
}

CaseClass read_class(const Yaml& node) {
  using enum CaseClass;
  return node.choice<CaseClass>(
      {{"gpu", gpu}, {"link", link}, {"cpu", cpu}, {"hybrid", hybrid}, {"disk", disk}, {"cache", cache}});
}

// A number of the metric's kind: "67.9 ms", "36.6 %", 10.51.
double read_published(const Yaml& node, CaseMetric metric, bool ratio) {
  if (ratio) return node.number(1e-6, 1e6);
  switch (metric) {
    case CaseMetric::tpot:
    case CaseMetric::expert_wait:
    case CaseMetric::moe_block:
      return node.seconds({1e-9}).value;
    case CaseMetric::wait_share:
    case CaseMetric::prefill_wait_share:
    case CaseMetric::hit_rate:
      return node.share();
    default:
      return node.number(1e-6, 1e9);
  }
}

std::vector<Edit> read_edits(const Yaml& node) {
  std::vector<Edit> edits;
  if (const auto set = node.find("set"))
    for (const auto& [path, value] : set->entries()) edits.push_back({path, value});
  return edits;
}

struct Defaults {
  CaseMetric metric;
  CaseClass kind;
};

// A table's or machine's own metric and class go before the case's.
Defaults read_defaults(const Yaml& node, Defaults outer) {
  if (const auto metric = node.find("metric")) outer.metric = read_metric(*metric);
  if (const auto kind = node.find("class")) outer.kind = read_class(*kind);
  return outer;
}

CaseRow read_row(const Yaml& node, Defaults outer, const std::vector<std::string_view>& strategies) {
  node.allow_only({"strategy", "metric", "class", "published", "over", "calibrate", "set", "note"});
  const Defaults own = read_defaults(node, outer);
  CaseRow row{node["strategy"].text(), own.metric, own.kind};
  const auto known = [&](const Yaml& name) {
    if (std::find(strategies.begin(), strategies.end(), name.text()) == strategies.end())
      name.fail_choice(strategies);
  };
  known(node["strategy"]);
  if (const auto over = node.find("over")) {
    known(*over);
    row.over = over->text();
  }
  row.published = read_published(node["published"], row.metric, !row.over.empty());
  if (row.published <= 0) node["published"].fail("a number above 0");
  if (const auto calibrate = node.find("calibrate")) row.calibrate = calibrate->boolean();
  if (const auto note = node.find("note")) row.note = note->text();
  row.edits = read_edits(node);
  row.where = fmt::format("{}:{}", node.file(), node.line());
  return row;
}

}  // namespace

PublishedCase PublishedCase::load(const std::filesystem::path& file) {
  const Yaml document = Yaml::load(file);
  document.allow_only(
      {"name", "title", "source", "assumed", "metric", "class", "scenario", "fit", "machines"});
  PublishedCase each{
      document["name"].name(), document["title"].text(), document["source"].text(), {}, document["scenario"]};
  for (const Yaml& text : document["assumed"].items()) each.assumed.push_back(text.text());
  std::vector<std::string_view> strategies;
  for (const Yaml& strategy : each.scenario["strategies"].items())
    strategies.push_back(strategy["name"].text());
  if (const auto fit = document.find("fit"))
    for (const Yaml& node : fit->items()) {
      node.allow_only({"path", "low", "high", "strategies"});
      CaseConstant constant{node["path"].text(), node["low"], node["high"]};
      if (!(constant.low.magnitude() > 0) || !(constant.high.magnitude() > constant.low.magnitude()))
        node.fail("low and high, above 0 and in this order");
      if (const auto names = node.find("strategies"))
        for (const Yaml& name : names->items()) constant.strategies.push_back(name.text());
      each.constants.push_back(std::move(constant));
    }

  const Defaults defaults =
      read_defaults(document, {CaseMetric::tokens_per_second, read_class(document["class"])});
  for (const Yaml& node : document["machines"].items()) {
    node.allow_only({"name", "set", "class", "metric", "tables"});
    CaseMachine machine{node["name"].text(), read_edits(node)};
    const Defaults of_machine = read_defaults(node, defaults);
    for (const Yaml& table_node : node["tables"].items()) {
      table_node.allow_only({"name", "set", "class", "metric", "rows"});
      CaseTable table{table_node["name"].text(), read_edits(table_node)};
      const Defaults of_table = read_defaults(table_node, of_machine);
      for (const Yaml& row : table_node["rows"].items())
        table.rows.push_back(read_row(row, of_table, strategies));
      machine.tables.push_back(std::move(table));
    }
    for (const CaseConstant& constant : each.constants) {
      const auto serves = [&](const CaseRow& row) {
        return row.calibrate && (constant.strategies.empty() ||
                                 std::find(constant.strategies.begin(), constant.strategies.end(),
                                           row.strategy) != constant.strategies.end());
      };
      const bool any = std::any_of(machine.tables.begin(), machine.tables.end(), [&](const CaseTable& table) {
        return std::any_of(table.rows.begin(), table.rows.end(), serves);
      });
      if (!any) node.fail(fmt::format("rows with calibrate: true, on which {} can be fitted", constant.path));
    }
    each.machines.push_back(std::move(machine));
  }
  return each;
}

}  // namespace specmoe
