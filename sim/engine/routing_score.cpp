#include "sim/engine/routing_score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "models/moe/routing/routing_subset.hpp"
#include "models/moe/routing/trace_statistics.hpp"
#include "sim/engine/next_layer_recall.hpp"
#include "sim/engine/replay.hpp"

namespace specmoe {
namespace {

using Kind = RoutingMeasure::Kind;

// The first requests of a source, without their prefill.
std::vector<RoutingSubset::Part> first_requests(const RoutingSource& source, std::int64_t tokens) {
  std::vector<RoutingSubset::Part> parts;
  std::int64_t total = 0;
  for (std::int64_t r = 0; r < source.requests() && (r == 0 || total < tokens); ++r) {
    parts.push_back({r, false, 0, source.request(r).decode_rows});
    total += parts.back().decode_rows;
  }
  return parts;
}

const EvictionKind& eviction(const std::string& name) {
  for (const EvictionKind& kind : eviction_kinds())
    if (kind.name == name) return kind;
  throw std::logic_error("no eviction policy " + name);
}

double hit_rate(RoutingSource& source, const char* policy, std::int64_t slots) {
  Replay options;
  options.eviction = &eviction(policy);
  options.cache = {source.layers(), source.experts(),
                   std::vector<Bytes>(static_cast<std::size_t>(source.layers()), Bytes{1}), Bytes{slots},
                   CacheScope::global};
  const ReplayResult result = replay(source, options);
  return static_cast<double>(result.decode_hits) /
         static_cast<double>(std::max<std::int64_t>(1, result.decode_accesses));
}

// Distinct experts a layer of n consecutive tokens, mean over windows that overlap by half.
double window(const DecodedRows& rows, std::int64_t n) {
  std::int64_t sum = 0, layers = 0;
  std::vector<bool> seen(static_cast<std::size_t>(rows.experts));
  for (const auto& request : rows.requests)
    for (std::int64_t first = 0; first + n <= rows.count(request); first += std::max<std::int64_t>(1, n / 2))
      for (int layer = 0; layer < rows.layers; ++layer) {
        std::fill(seen.begin(), seen.end(), false);
        for (std::int64_t row = first; row < first + n; ++row)
          for (const std::int16_t e : rows.chosen(request, row, layer))
            if (e >= 0) seen[static_cast<std::size_t>(e)] = true;
        sum += std::count(seen.begin(), seen.end(), true);
        ++layers;
      }
  return layers == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(layers);
}

}  // namespace

std::vector<RoutingMeasure> measure_routing(RoutingSource& source, const MeasureOptions& options) {
  RoutingSubset decoded(source, first_requests(source, options.tokens));
  std::vector<RoutingMeasure> out;
  const double all = static_cast<double>(source.layers()) * source.experts();
  for (const auto& [policy, title] :
       {std::pair{"lru", "LRU"}, std::pair{"lfu", "LFU"}, std::pair{"belady", "Belady"}})
    for (const double share : options.capacities)
      out.push_back({Kind::hit_rate, fmt::format("{} hits, {:.0f} % of the experts", title, 100 * share),
                     hit_rate(decoded, policy, std::max<std::int64_t>(1, std::llround(share * all)))});

  const TraceStatistics statistics = specmoe::statistics(decoded);
  out.push_back({Kind::overlap, "overlap with the token before", statistics.decode_overlap / source.top_k()});
  const DecodedRows rows = read_decoded(decoded);
  out.push_back({Kind::recall, "next layer, transition table", transition_recall(rows)});
  out.push_back({Kind::recall, "next layer, ridge regression", ridge_recall(rows)});
  for (const auto& [n, unique] : statistics.unique_experts)
    out.push_back({Kind::unique, fmt::format("experts of {} requests together", n), unique});
  for (const std::int64_t n : {2, 4, 8, 16, 32, 64})
    if (const double experts = window(rows, n); experts > 0)
      out.push_back({Kind::window, fmt::format("experts of {} consecutive tokens", n), experts});
  return out;
}

double ScoreLine::error() const {
  const double difference = generated - real;
  return (kind == Kind::unique || kind == Kind::window) && real > 0 ? difference / real : difference;
}

std::vector<ScoreLine> score_routing(
    RoutingSource& real, const MeasureOptions& options, int runs,
    const std::function<std::unique_ptr<RoutingSource>(const std::vector<RequestInfo>&, int)>& generate) {
  const auto measures = measure_routing(real, options);
  std::vector<RequestInfo> lengths;
  for (const auto& part : first_requests(real, options.tokens)) lengths.push_back({0, 0, part.decode_rows});
  std::map<std::string, std::vector<double>> values;
  for (int run = 0; run < runs; ++run) {
    const auto source = generate(lengths, run);
    for (const RoutingMeasure& m : measure_routing(*source, options)) values[m.name].push_back(m.value);
  }
  const bool batches = lengths.size() > 1;
  std::vector<ScoreLine> lines;
  for (const RoutingMeasure& m : measures) {
    const auto& v = values[m.name];
    ScoreLine line{m.kind, m.name, m.value, 0, 0, 0};
    for (const double x : v) line.generated += x / static_cast<double>(v.size());
    for (const double x : v)
      line.spread +=
          (x - line.generated) * (x - line.generated) / std::max(1.0, static_cast<double>(v.size()) - 1);
    line.spread = std::sqrt(line.spread);
    line.target = m.kind == Kind::hit_rate ? 0.02 : 0.03;
    if (m.kind == Kind::window && batches) line.target = 0;
    lines.push_back(line);
  }
  return lines;
}

}  // namespace specmoe
