#include "sim/engine/replay.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <list>
#include <map>
#include <sstream>

#include "models/moe/routing/input_stream.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "tests/moe/trace_helpers.hpp"

namespace specmoe {

static const EvictionKind& eviction(std::string_view name) {
  const auto kinds = eviction_kinds();
  return *std::find_if(kinds.begin(), kinds.end(),
                       [&](const EvictionKind& kind) { return kind.name == name; });
}

static Replay slots(const RoutingSource& source, std::string_view policy, std::int64_t count, Lookup lookup) {
  Replay options;
  options.eviction = &eviction(policy);
  options.cache = {source.layers(), source.experts(),
                   std::vector<Bytes>(static_cast<std::size_t>(source.layers()), Bytes{1}),
                   Bytes{count * source.layers()}, CacheScope::layer};
  options.lookup = lookup;
  return options;
}

// One layer, top-2, the given pairs: first the prompt's.
static std::unique_ptr<RoutingTrace> trace_of(const TemporaryFolder& folder, std::int64_t prompt,
                                              const std::vector<std::vector<std::int16_t>>& rows) {
  TraceHeader header;
  header.layers = 1;
  header.experts = 8;
  header.top_k = 2;
  TraceWriter writer(folder / "t.h5", header);
  writer.begin_request(prompt);
  for (std::size_t i = 0; i < rows.size(); ++i) writer.add_row(std::cmp_less(i, prompt), rows[i]);
  writer.finish();
  return RoutingTrace::open(folder / "t.h5");
}

TEST_CASE("replay: access by access, a miss may evict what the same token needs next") {
  const TemporaryFolder folder;
  const auto trace = trace_of(folder, 0, {{0, 1}, {2, 0}});
  // Two slots. {0 1}, then 2 evicts 0, so 0 misses: no hits.
  CHECK(replay(*trace, slots(*trace, "lru", 2, Lookup::access)).decode_hits == 0);
  // Looked up together, 0 is a hit and stays: one hit of four.
  const auto result = replay(*trace, slots(*trace, "lru", 2, Lookup::layer));
  CHECK(result.decode_hits == 1);
  CHECK(result.decode_accesses == 4);
}

TEST_CASE(
    "replay: a prompt is one step in which each layer's experts count once, and decoding finds them all") {
  const TemporaryFolder folder;
  const auto trace = trace_of(folder, 3, {{0, 1}, {1, 2}, {3, 0}, {1, 2}, {3, 0}});
  const auto result = replay(*trace, slots(*trace, "lru", 2, Lookup::layer));
  CHECK(result.prefill_accesses == 4);  // 0 1 2 3
  CHECK(result.prefill_hits == 0);
  // The prompt's four overfill two slots until the next token is through: 1 and 2 hit, 3 and 0 leave.
  CHECK(result.decode_hits == 2);
}

TEST_CASE("replay: belady knows the future of this very replay") {
  const TemporaryFolder folder;
  const auto trace = trace_of(folder, 0, {{0, 1}, {2, 3}, {0, 4}});
  // Three slots: to take in 2 and 3, lru lets 0 go, belady 1, which does not come again.
  CHECK(replay(*trace, slots(*trace, "lru", 3, Lookup::layer)).decode_hits == 0);
  CHECK(replay(*trace, slots(*trace, "belady", 3, Lookup::layer)).decode_hits == 1);
}

TEST_CASE("replay: stops after the requests asked for") {
  const TemporaryFolder folder;
  const auto trace = trace_of(folder, 0, {{0, 1}});
  auto none = slots(*trace, "lru", 2, Lookup::layer);
  none.requests = 0;
  CHECK(replay(*trace, none).decode_accesses == 0);
}

static std::filesystem::path shared(const std::string& name) {
  return std::filesystem::path(SPECMOE_SOURCE_DIR) / "../shared/data" / name;
}

TEST_CASE("replay: gpt-oss-20b's published hits of per-layer LRU, exactly") {
  if (!std::filesystem::exists(shared("gpt-oss-20b-routing"))) {
    MESSAGE("SKIPPED: no gpt-oss-20b-routing beside the sources");
    return;
  }
  const TemporaryFolder folder;
  TraceImport import;
  import.inputs = {shared("gpt-oss-20b-routing")};
  import.out = folder / "oss.h5";
  import_trace(import);
  const auto trace = RoutingTrace::open(import.out);
  CHECK(trace->tokens() == 215'438);
  CHECK(trace->requests() == 703);
  // README of the recording: first 50 requests, cache kept across them.
  for (const auto& [count, hits] :
       {std::pair{4, 731'189}, {8, 1'283'703}, {16, 1'776'922}, {24, 1'948'031}}) {
    auto options = slots(*trace, "lru", count, Lookup::access);
    options.requests = 50;
    const auto result = replay(*trace, options);
    CHECK(result.decode_accesses == 1'988'832);
    CHECK(result.decode_hits == hits);
  }
}

// A route CSV of BigMoeOnEdge as a trace, and a cache of its experts.
struct Recording {
  std::unique_ptr<RoutingTrace> trace;

  Recording(const std::string& model, const TemporaryFolder& folder) {
    TraceImport import;
    import.inputs = {shared("bigmoeonedge-routing/" + model + ".route.csv.gz")};
    import.out = folder / (model + ".h5");
    import_trace(import);
    trace = RoutingTrace::open(import.out);
  }
  ReplayResult run(std::string_view policy, CacheScope scope, std::int64_t mebibytes,
                   decltype(Replay::observe) observe = {}) const {
    Replay options;
    options.observe = std::move(observe);
    options.eviction = &eviction(policy);
    options.cache = {trace->layers(), trace->experts(), {}, Bytes{mebibytes << 20}, scope};
    for (const auto bytes : trace->header().expert_bytes) options.cache.expert_bytes.push_back({bytes});
    return replay(*trace, options);
  }
};

// A line of a route CSV.
struct Route {
  bool prefill;
  ExpertId id;
  bool resident;
  std::int64_t bytes;
};

static std::vector<Route> routes_of(const std::string& model) {
  std::vector<Route> routes;
  InputStream in(shared("bigmoeonedge-routing/" + model + ".route.csv.gz"));
  for (std::string line; in.line(line);) {
    if (line.starts_with('#') || line.starts_with("turn")) continue;
    const auto field = csv_fields(line);
    routes.push_back(
        {field[1] == "0", {std::stoi(field[3]), std::stoi(field[5])}, field[7] == "1", std::stoll(field[8])});
  }
  return routes;
}

TEST_CASE("replay: BigMoeOnEdge's engine had these hits, access by access") {
  if (!std::filesystem::exists(shared("bigmoeonedge-routing"))) {
    MESSAGE("SKIPPED: no bigmoeonedge-routing beside the sources");
    return;
  }
  const TemporaryFolder folder;
  const auto check = [&](const std::string& model, std::int64_t mebibytes, std::int64_t accesses,
                         std::int64_t hits) {
    std::vector<bool> replayed, recorded;
    const auto result =
        Recording(model, folder)
            .run("lru", CacheScope::global, mebibytes,
                 [&](bool prefill, std::span<const ExpertId>, const std::vector<bool>& group) {
                   if (!prefill) replayed.insert(replayed.end(), group.begin(), group.end());
                 });
    for (const Route& route : routes_of(model))
      if (!route.prefill) recorded.push_back(route.resident);
    CHECK(result.decode_accesses == accesses);
    CHECK(result.decode_hits == hits);
    CHECK(replayed == recorded);
  };
  check("qwen", 4000, 36'864, 29'597);
  check("gemma", 4000, 23'040, 18'872);
  check("gptoss", 3000, 4'608, 2'066);
}

TEST_CASE("replay: BigMoeOnEdge's check values 29597, 18869, 2066 take an expert's size from its row") {
  if (!std::filesystem::exists(shared("bigmoeonedge-routing"))) {
    MESSAGE("SKIPPED: no bigmoeonedge-routing beside the sources");
    return;
  }
  // Row by row, every prefill row too. The recording's expert_bytes are 0 where the engine had a hit, so that
  // an expert which only the replay misses enters without taking room: 3 hits short of the engine in gemma.
  const auto hits_of = [](const std::string& model, std::int64_t mebibytes) {
    std::list<std::pair<ExpertId, std::int64_t>> order;  // expert and the bytes it took, least recent first
    std::map<ExpertId, decltype(order)::iterator> place;
    std::int64_t room = mebibytes << 20, hits = 0;
    for (const Route& route : routes_of(model)) {
      if (const auto found = place.find(route.id); found != place.end()) {
        order.splice(order.end(), order, found->second);
        if (!route.prefill) ++hits;
        continue;
      }
      for (; room < route.bytes; order.pop_front()) {
        room += order.front().second;
        place.erase(order.front().first);
      }
      room -= route.bytes;
      place[route.id] = order.insert(order.end(), {route.id, route.bytes});
    }
    return hits;
  };
  CHECK(hits_of("qwen", 4000) == 29'597);
  CHECK(hits_of("gemma", 4000) == 18'869);
  CHECK(hits_of("gptoss", 3000) == 2'066);
}

TEST_CASE("replay: BigMoeOnEdge's curves of five policies over eleven budgets") {
  if (!std::filesystem::exists(shared("bigmoeonedge-routing"))) {
    MESSAGE("SKIPPED: no bigmoeonedge-routing beside the sources");
    return;
  }
  const TemporaryFolder folder;
  const std::map<std::string, std::pair<std::string_view, CacheScope>> policies{
      {"belady", {"belady", CacheScope::global}}, {"lru", {"lru", CacheScope::global}},
      {"lfu", {"lfu", CacheScope::global}},       {"layer", {"lru", CacheScope::layer}},
      {"layerlfu", {"lfu", CacheScope::layer}},
  };
  int points = 0;
  for (const std::string model : {"qwen", "gemma", "gptoss"}) {
    const Recording recording(model, folder);
    std::ifstream curve(shared("bigmoeonedge-routing/" + model + "-curve.csv"));
    std::string line;
    for (std::getline(curve, line); std::getline(curve, line);) {
      std::istringstream fields(line);
      std::string budget, policy, whole, decode;
      std::getline(fields, budget, ',');
      std::getline(fields, policy, ',');
      std::getline(fields, whole, ',');
      std::getline(fields, decode, ',');
      const auto known = policies.find(policy);
      if (known == policies.end()) continue;  // random: its numbers depend on its generator
      const auto result = recording.run(known->second.first, known->second.second, std::stoi(budget));
      const double rate =
          100.0 * static_cast<double>(result.decode_hits) / static_cast<double>(result.decode_accesses);
      INFO(model << " " << policy << " " << budget << " MiB: " << rate << " and " << decode);
      CHECK(std::abs(rate - std::stod(decode)) < 0.0006);  // three decimals are printed
      ++points;
    }
  }
  CHECK(points == 165);
}

}  // namespace specmoe
