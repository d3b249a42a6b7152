#include "validation/compare/seed_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "sim/base/yaml.hpp"
#include "validation/compare/seed_rules.hpp"
#include "validation/compare/seed_runs.hpp"

namespace specmoe {

namespace {

// One name or a list of them.
std::vector<Yaml> one_or_more(const Yaml& node) {
  if (!node.is_list()) return {node};
  if (node.items().empty()) node.fail("a name, or a list of names");
  return node.items();
}

// {scenario: switch-b1, of: E, over: A}; several scenarios: their times are added; several `over`: the mean of their
// times. `over` belongs to a speedup alone.
void want_run(const Yaml& node, SeedMetric metric, SeedRuns& runs) {
  node.allow_only({"scenario", "of", "over"});
  if (metric != SeedMetric::speedup && node.find("over")) node["over"].fail("no such key: not a speedup");
  for (const Yaml& scenario : one_or_more(node["scenario"])) {
    runs.want(scenario, node["of"].text(), node["of"]);
    if (metric == SeedMetric::speedup)
      for (const Yaml& over : one_or_more(node["over"])) runs.want(scenario, over.text(), over);
  }
}

double result_of(const Yaml& node, SeedMetric metric, const SeedRuns& runs) {
  SeedTotals of;
  double over = 0;
  for (const Yaml& scenario : one_or_more(node["scenario"])) {
    const SeedTotals& one = runs.at(scenario.text(), node["of"].text());
    of.seconds += one.seconds;
    of.routed += one.routed;
    of.accesses += one.accesses;
    of.found += one.found;
    if (metric != SeedMetric::speedup) continue;
    const auto others = one_or_more(node["over"]);
    for (const Yaml& each : others)
      over += runs.at(scenario.text(), each.text()).seconds / static_cast<double>(others.size());
  }
  if (metric == SeedMetric::speedup) return over / of.seconds;
  return metric == SeedMetric::hits ? seed_share(of.found, of.accesses)
                                    : 1 - seed_share(of.accesses, of.routed);
}

std::vector<double> numbers(const Yaml& list, std::size_t many = 0) {
  std::vector<double> all;
  for (const Yaml& item : list.items()) all.push_back(item.number(0, 1e9));
  if (all.empty() || (many > 0 && all.size() != many))
    list.fail(fmt::format("{} numbers", std::max<std::size_t>(1, many)));
  return all;
}

double mean_of(const std::vector<double>& all) {
  double sum = 0;
  for (const double each : all) sum += each;
  return sum / static_cast<double>(all.size());
}

constexpr std::int64_t kCountedSteps = 25;

// {experts: 128, top_k: [2, 4], batch: 8}, uniform; the mean over top_k.
double counted_uniform(const Yaml& node, bool exact) {
  node.allow_only({"experts", "top_k", "batch"});
  const std::int64_t experts = node["experts"].integer(1, 4096), batch = node["batch"].integer(1, 4096);
  std::vector<double> shares;
  for (const Yaml& each : one_or_more(node["top_k"])) {
    const std::int64_t k = each.integer(1, experts);
    RoutingOptions options;
    options.layers = 12;
    options.experts = static_cast<int>(experts);
    options.top_k = static_cast<int>(k);
    options.requests = batch;
    options.prompt_tokens = 1;
    options.output_tokens = kCountedSteps;
    options.seed = 42;
    RoutingGenerator source(options);
    shares.push_back(exact ? shared_if_uniform(experts, k, batch) : shared_in(source, batch, kCountedSteps));
  }
  return mean_of(shares);
}

double counted_in_profile(const Yaml& node) {
  node.allow_only({"name", "batch"});
  ProfileOptions options;
  options.requests = node["batch"].integer(1, 4096);
  options.prompt_tokens = 1;
  options.output_tokens = kCountedSteps;
  options.seed = 42;
  ProfileGenerator source(RoutingProfile::load(node["name"].text()), options);
  return shared_in(source, options.requests, kCountedSteps);
}

// {switch: E, over: A, slots: 32, ...}; a mended rule is over the seed's A mended alike.
SeedOutcome switch_outcome(const Yaml& node, bool over) {
  node.allow_only({"switch", "over", "batch", "no_prefetch", "slots", "layer_keys", "serial_layers"});
  const auto letter = [&](const char* key) {
    return node[key].choice<char>({{"A", 'A'}, {"B", 'B'}, {"C", 'C'}, {"D", 'D'}, {"E", 'E'}});
  };
  const auto flag = [&](const char* key) {
    const auto found = node.find(key);
    return found && found->boolean();
  };
  SeedSwitchRule rule{letter(over ? "over" : "switch")};
  if (const auto batch = node.find("batch")) rule.batch = static_cast<int>(batch->integer(1, 4096));
  rule.layer_keys = flag("layer_keys");
  rule.serial_layers = flag("serial_layers");
  if (over) return seed_switch(rule);
  rule.no_prefetch = flag("no_prefetch");
  if (const auto slots = node.find("slots")) rule.slots = static_cast<int>(slots->integer(1, 1536));
  return seed_switch(rule);
}

SeedOutcome qwen_outcome(const Yaml& node, bool over) {
  node.allow_only({"qwen", "over"});
  return seed_qwen(
      node[over ? "over" : "qwen"].choice<char>({{"A", 'A'}, {"B", 'B'}, {"D", 'D'}, {"E", 'E'}}));
}

double rule_of(const Yaml& node, SeedMetric metric) {
  if (const auto mean = node.find("mean")) {
    node.allow_only({"mean"});
    return mean_of(numbers(*mean));
  }
  if (const auto of = node.find("ratio_of_means")) {
    node.allow_only({"ratio_of_means", "over"});
    double over = 0;
    for (const Yaml& each : node["over"].items())
      over += mean_of(numbers(each)) / static_cast<double>(node["over"].items().size());
    return over / mean_of(numbers(*of));
  }
  const auto outcome = [&](bool over) {
    return node.find("switch") ? switch_outcome(node, over) : qwen_outcome(node, over);
  };
  if (metric == SeedMetric::hits) return outcome(false).hit_rate;
  if (metric != SeedMetric::speedup) node.fail("mean: [...], or none: why");
  return outcome(true).milliseconds / outcome(false).milliseconds;
}

SeedNumber read_number(const Yaml& node, SeedMetric metric, const SeedRuns* runs, SeedRuns& wanted) {
  if (const auto none = node.find("none")) {
    node.allow_only({"none"});
    return {{}, none->text()};
  }
  if (const auto uniform = node.find("count")) return {counted_uniform(*uniform, false), {}};
  if (const auto exact = node.find("closed_form")) return {counted_uniform(*exact, true), {}};
  if (const auto profile = node.find("profile")) return {counted_in_profile(*profile), {}};
  if (!node.find("scenario")) return {rule_of(node, metric), {}};
  if (runs) return {result_of(node, metric, *runs), {}};
  want_run(node, metric, wanted);
  return {};
}

SeedRow read_row(const Yaml& node, const SeedRuns* runs, SeedRuns& wanted) {
  node.allow_only({"name", "claim", "claimed", "source", "metric", "rule", "within", "own", "equal", "note"});
  SeedRow row;
  row.name = node["name"].text();
  row.claim = node["claim"].text();
  row.claimed = node["claimed"].number(1e-9, 1e9);
  row.source = node["source"].text();
  row.note = node["note"].text();
  row.where = fmt::format("{}:{}", node.file(), node.line());
  row.metric = node["metric"].choice<SeedMetric>(
      {{"speedup", SeedMetric::speedup}, {"hits", SeedMetric::hits}, {"shared", SeedMetric::shared}});
  row.rule = read_number(node["rule"], row.metric, runs, wanted);
  if (const auto within = node.find("within"))
    row.within = within->text() == "never" ? INFINITY : within->number(0, 1);
  else if (!node["rule"].find("none"))
    node["within"];  // says that it is missing
  row.own = read_number(node["own"], row.metric, runs, wanted);
  row.equal = read_number(node["equal"], row.metric, runs, wanted);
  return row;
}

void read_steps(const Yaml& list, const SeedRuns* runs, SeedRuns& wanted, SeedSet& set) {
  for (const Yaml& node : list.items()) {
    node.allow_only({"change", "rule", "run"});
    SeedStep step{node["change"].text()};
    if (const auto run = node.find("run")) {
      if (runs) {
        step.speedup = result_of(*run, SeedMetric::speedup, *runs);
        step.hits = result_of(*run, SeedMetric::hits, *runs);
      } else {
        want_run(*run, SeedMetric::speedup, wanted);
      }
    } else {
      step.speedup = rule_of(node["rule"], SeedMetric::speedup);
      step.hits = rule_of(node["rule"], SeedMetric::hits);
    }
    set.steps.push_back(std::move(step));
  }
}

// A table's claims are lists by batch; its scenarios are called <scenario>-b<batch>.
void read_table(const Yaml& node, const SeedRuns* runs, SeedRuns& wanted, SeedSet& set) {
  node.allow_only({"name", "source", "scenarios", "batches", "strategies"});
  node["source"].text();
  std::map<int, SeedCell::Entry> base_rule, base_equal, base_claim;  // of A, by batch
  const std::vector<Yaml> batches = node["batches"].items(), scenarios = node["scenarios"].items();
  if (scenarios.size() != batches.size()) node["scenarios"].fail("a scenario for each of batches");
  for (const Yaml& strategy : node["strategies"].items()) {
    strategy.allow_only({"name", "run", "ms", "hits", "rule"});
    const std::vector<double> ms = numbers(strategy["ms"], batches.size()),
                              hits = numbers(strategy["hits"], batches.size());
    const Yaml rule = strategy["rule"];
    const bool imitated = !rule.find("none"), switches = rule.find("switch").has_value();
    SeedOutcome outcome;
    if (imitated) outcome = switches ? switch_outcome(rule, false) : qwen_outcome(rule, false);
    for (std::size_t i = 0; i < batches.size(); ++i) {
      SeedCell cell;
      cell.table = node["name"].text();
      cell.strategy = strategy["name"].text();
      cell.batch = static_cast<int>(batches[i].integer(1, 4096));
      cell.claimed = {ms[i], hits[i]};
      // The seed's Switch multiplies by the batch; its Qwen only re-chops the stream.
      if (imitated)
        cell.rule = {outcome.milliseconds * (switches ? cell.batch : 1), outcome.hit_rate};
      else
        cell.reason = rule["none"].text();
      if (runs) {
        const SeedTotals& run = runs->at(scenarios[i].text(), strategy["run"].text());
        cell.equal = {run.seconds * 1e3, seed_share(run.found, run.accesses)};
      } else {
        wanted.want(scenarios[i], strategy["run"].text(), strategy["run"]);
      }
      const auto over_first = [&](SeedCell::Entry& entry, std::map<int, SeedCell::Entry>& base) {
        entry.speedup = base.emplace(cell.batch, entry).first->second.milliseconds / entry.milliseconds;
      };
      over_first(cell.claimed, base_claim);
      if (cell.rule) over_first(*cell.rule, base_rule);
      over_first(cell.equal, base_equal);
      set.cells.push_back(std::move(cell));
    }
  }
}

SeedSet read_set(const Yaml& document, const SeedRuns* runs, SeedRuns& wanted) {
  document.allow_only({"rows", "steps", "tables"});
  SeedSet set;
  for (const Yaml& node : document["rows"].items()) set.rows.push_back(read_row(node, runs, wanted));
  read_steps(document["steps"], runs, wanted, set);
  for (const Yaml& node : document["tables"].items()) read_table(node, runs, wanted, set);
  return set;
}

}  // namespace

SeedSet compare_seed(const std::filesystem::path& file, int jobs,
                     const std::function<void(const std::string&)>& say) {
  const Yaml document = Yaml::load(file);
  SeedRuns runs(file.parent_path() / "seed");
  read_set(document, nullptr, runs);  // all is checked, and what is to be run known, before anything runs
  runs.run(jobs, say);
  return read_set(document, &runs, runs);
}

}  // namespace specmoe
