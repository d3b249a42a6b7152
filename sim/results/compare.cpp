#include "sim/results/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/random.hpp"

namespace specmoe {

namespace {

constexpr const char* kLru = "LRU (frame)";
constexpr const char* kBelady = "Belady (frame)";
constexpr const char* kResident = "all resident (frame)";

const EvictionKind& eviction_named(std::string_view name) {
  const auto kinds = eviction_kinds();
  return *std::find_if(kinds.begin(), kinds.end(),
                       [&](const EvictionKind& kind) { return kind.name == name; });
}

// What experts and a predictor's network have together: equal bytes. Beyond all experts, bytes serve none.
Bytes bytes_of(const Scenario& scenario, const EngineSettings& s) {
  return std::max(s.cache_capacity,
                  std::min(s.cache_capacity + s.predictor_memory(), all_experts(scenario, s)));
}

// The same machine, memory and engine, and nothing that makes a strategy.
Strategy plain(const Strategy& of, const char* name, Bytes capacity, const EvictionKind& eviction) {
  Strategy strategy;
  strategy.name = name;
  strategy.bill = of.bill;
  std::erase_if(strategy.bill.items, [](const auto& item) { return item.first == kPredictorItem; });
  EngineSettings& s = strategy.settings;
  s.seed = of.settings.seed;
  s.gpu = of.settings.gpu;
  s.expert_home = of.settings.expert_home;
  s.host_memory = of.settings.host_memory;
  s.expert_bytes = of.settings.expert_bytes;
  s.grouped = of.settings.grouped;
  s.cache_capacity = capacity;
  s.eviction = &eviction;
  s.predictor = &predictor_kinds().front();
  s.start = &start_kinds().front();
  s.placement = nullptr;
  return strategy;
}

bool is_plain(const EngineSettings& s, std::string_view eviction) {
  return s.eviction->name == eviction && s.predictor->name == "none" && !s.start->order && !s.host_cache &&
         s.cache_scope == CacheScope::global && s.cpu_layers == 0 && !s.miss.any() && s.deduplicate &&
         (!s.placement || !s.placement->uses_cpu) && s.pieces.count == 1 && s.pieces.size == Bytes{};
}

// Of each step of the scenario, the batch that it belongs to.
std::vector<std::size_t> batches_of(const Scenario& scenario) {
  const auto source = scenario.routing.open();
  StepPlan plan(*source, scenario.workload, !scenario.model.encoder_decoder());
  std::vector<std::size_t> batches;
  while (const auto step = plan.next())
    batches.push_back(static_cast<std::size_t>(
        (step->slices.front().request - scenario.workload.first_request) / scenario.workload.batch));
  return batches;
}

// Sums over the decode steps of a batch.
struct Sums {
  double time = 0, tokens = 0, accesses = 0, hits = 0, bytes = 0;
  Sums& operator+=(const Sums& o) {
    time += o.time;
    tokens += o.tokens;
    accesses += o.accesses;
    hits += o.hits;
    bytes += o.bytes;
    return *this;
  }
};

std::vector<Sums> sums_of(const H5File& file, const std::string& strategy,
                          const std::vector<std::size_t>& batches) {
  const std::string group = "/runs/" + strategy + "/steps/";
  const auto phase = file.read<std::int16_t>(group + "phase");
  const auto whole = [&](const char* name) { return file.read<std::int64_t>(group + name); };
  const auto tokens = whole("tokens"), accesses = whole("accesses"), hits = whole("hits"),
             demand = whole("demand_bytes"), ahead = whole("prefetch_bytes");
  const auto time = file.read<double>(group + "duration");
  if (phase.size() != batches.size()) throw std::logic_error("compare: another number of steps than planned");
  std::vector<Sums> sums(batches.empty() ? 0 : batches.back() + 1);
  for (std::size_t i = 0; i < phase.size(); ++i)
    if (phase[i] == 1)
      sums[batches[i]] += {time[i], static_cast<double>(tokens[i]), static_cast<double>(accesses[i]),
                           static_cast<double>(hits[i]), static_cast<double>(demand[i] + ahead[i])};
  return sums;
}

double speed(const Sums& s) { return s.tokens / s.time; }

// Batches are drawn, the same ones for a strategy and for the LRU that it is compared to. Percentile intervals: those
// are what the published tables hold.
void measure(ComparedRow& row, const std::vector<Sums>& own, const std::vector<Sums>& lru) {
  const auto total = [](const std::vector<Sums>& all, std::span<const std::size_t> drawn) {
    Sums sum;
    for (const std::size_t i : drawn) sum += all[i];
    return sum;
  };
  const auto estimate = [&](const auto& number) {
    return bootstrap(own.size(), [&](auto drawn) { return number(total(own, drawn), total(lru, drawn)); },
                     Random::stream(1, "compare"), {IntervalKind::percentile, 1000});
  };
  row.tokens_per_second = estimate([](const Sums& mine, const Sums&) { return speed(mine); });
  row.gain = estimate([](const Sums& mine, const Sums& base) { return speed(mine) / speed(base); });
  row.hit_rate = estimate([](const Sums& mine, const Sums&) { return mine.hits / mine.accesses; });
  row.bytes_per_token = estimate([](const Sums& mine, const Sums&) { return mine.bytes / mine.tokens; });
}

// Sets every strategy's cache to a share of all experts' bytes; those that cannot have it are refused.
void set_share(Scenario& scenario, double share, std::vector<RefusedStrategy>& refused) {
  std::erase_if(scenario.strategies, [&](Strategy& strategy) {
    EngineSettings& s = strategy.settings;
    const Bytes want{static_cast<std::int64_t>(share * static_cast<double>(all_experts(scenario, s).count))};
    const Bytes expert = *std::max_element(s.expert_bytes.begin(), s.expert_bytes.end());
    const Bytes least = s.cache_scope == CacheScope::layer
                            ? expert * static_cast<std::int64_t>(s.expert_bytes.size())
                            : expert;
    s.cache_capacity = want - s.predictor_memory();
    if (s.cache_capacity > strategy.bill.rest())
      refused.push_back({strategy.name, "does not fit in GPU memory by " +
                                            gigabytes(s.cache_capacity - strategy.bill.rest())});
    else if (s.cache_capacity < least)
      refused.push_back(
          {strategy.name, fmt::format("smaller than one expert{}{}: {}", least > expert ? " a layer" : "",
                                      s.predictor_memory() > Bytes{0} ? " and the predictor's network" : "",
                                      gigabytes(least + s.predictor_memory()))});
    return !refused.empty() && refused.back().name == strategy.name;
  });
  const std::string sizes = fmt::format("\n# compared with caches of {} of all experts' bytes\n", share);
  scenario.text += sizes;
  scenario.identity += sizes;
}

std::vector<ComparedRow> compare_block(int block, Scenario scenario, std::optional<double> share,
                                       std::vector<RefusedStrategy> refused, const RunOptions& run) {
  const std::string platform = scenario.platform.name;
  if (share) set_share(scenario, *share, refused);
  std::vector<ComparedRow> rows;
  std::vector<bool> added;
  if (!scenario.strategies.empty()) {
    added = add_frame(scenario, refused);
    const H5File file = H5File::open(run_scenario(scenario, run));
    const std::vector<std::size_t> batches = batches_of(scenario);
    std::vector<std::vector<Sums>> sums;
    for (const Strategy& strategy : scenario.strategies)
      sums.push_back(sums_of(file, strategy.name, batches));
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const EngineSettings& s = scenario.strategies[i].settings;
      ComparedRow row{platform,
                      scenario.strategies[i].name,
                      block,
                      bytes_of(scenario, s),
                      bytes_of(scenario, s) / all_experts(scenario, s),
                      added[i]};
      const std::vector<Sums>* lru = nullptr;
      for (std::size_t j = 0; j < sums.size(); ++j)
        if (is_plain(scenario.strategies[j].settings, "lru") &&
            (scenario.strategies[j].settings.cache_capacity == row.capacity || !lru))
          lru = &sums[j];
      measure(row, sums[i], *lru);
      rows.push_back(row);
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const ComparedRow& a, const ComparedRow& b) {
    return a.tokens_per_second.value > b.tokens_per_second.value;
  });
  for (const RefusedStrategy& each : refused)
    rows.push_back({platform, each.name, block, {}, share.value_or(NAN), false, each.why});
  return rows;
}

}  // namespace

std::vector<bool> add_frame(Scenario& scenario, std::vector<RefusedStrategy>& refused) {
  std::vector<bool> added(scenario.strategies.size(), false);
  const auto add = [&](Strategy strategy, std::size_t sizes) {
    if (sizes > 1) strategy.name += ", " + gigabytes(strategy.settings.cache_capacity);
    scenario.strategies.push_back(std::move(strategy));
    added.push_back(true);
  };
  std::set<Bytes> sizes;
  for (const Strategy& strategy : scenario.strategies) sizes.insert(bytes_of(scenario, strategy.settings));
  const std::vector<Strategy> own = scenario.strategies;
  for (const Bytes size : sizes) {
    const Strategy* first = nullptr;
    for (const Strategy& strategy : own)
      if (bytes_of(scenario, strategy.settings) == size && !first) first = &strategy;
    for (const auto& [name, eviction] : {std::pair(kLru, "lru"), std::pair(kBelady, "belady")})
      if (std::none_of(own.begin(), own.end(), [&, kind = eviction](const Strategy& s) {
            return s.settings.cache_capacity == size && is_plain(s.settings, kind);
          }))
        add(plain(*first, name, size, eviction_named(eviction)), sizes.size());
  }
  Strategy resident =
      plain(own.front(), kResident, all_experts(scenario, own.front().settings), eviction_named("lru"));
  EngineSettings& s = resident.settings;
  for (const StartKind& kind : start_kinds())
    if (kind.name == "front") s.start = &kind;
  if (s.cache_capacity <= resident.bill.rest())
    add(std::move(resident), 1);
  else
    refused.push_back(
        {kResident, "does not fit in GPU memory by " + gigabytes(s.cache_capacity - resident.bill.rest())});
  return added;
}

std::vector<ComparedRow> compare_strategies(const std::filesystem::path& file,
                                            const CompareOptions& options) {
  std::vector<std::string> platforms = options.platforms;
  if (platforms.empty()) platforms.push_back("");
  std::vector<std::optional<double>> shares(options.shares.begin(), options.shares.end());
  if (shares.empty()) shares.push_back(std::nullopt);
  // All are read before anything runs.
  std::vector<std::pair<Scenario, std::vector<RefusedStrategy>>> scenarios;
  for (const std::string& platform : platforms) {
    std::vector<RefusedStrategy> refused;
    Scenario scenario = Scenario::load(file, platform, &refused);
    std::vector<std::string> names;
    for (const Strategy& strategy : scenario.strategies) names.push_back(strategy.name);
    for (const RefusedStrategy& each : refused) names.push_back(each.name);
    for (const std::string& wanted : options.strategies)
      if (std::find(names.begin(), names.end(), wanted) == names.end())
        throw InputError(file.string(), 0, "no strategy \"" + wanted + "\"",
                         fmt::format("some of {}", fmt::join(names, ", ")));
    const auto unwanted = [&](const auto& each) {
      return !options.strategies.empty() && std::find(options.strategies.begin(), options.strategies.end(),
                                                      each.name) == options.strategies.end();
    };
    std::erase_if(scenario.strategies, unwanted);
    std::erase_if(refused, unwanted);
    scenarios.emplace_back(std::move(scenario), std::move(refused));
  }
  std::vector<ComparedRow> rows;
  int block = -1;
  for (const auto& [scenario, refused] : scenarios)
    for (const auto& share : shares) {
      ++block;
      RunOptions run = options.run;
      run.reuse = true;
      run.out = options.run.out / scenario.platform.name / (share ? fmt::format("{}", *share) : "own");
      const std::string cell =
          scenario.platform.name + (share ? fmt::format(", {:g} %", *share * 100) : std::string());
      if (options.run.say) run.say = [&](const std::string& line) { options.run.say(cell + ": " + line); };
      const auto more = compare_block(block, scenario, share, refused, run);
      rows.insert(rows.end(), more.begin(), more.end());
    }
  return rows;
}

}  // namespace specmoe
