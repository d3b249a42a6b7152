#include "sim/scenario/popularity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "models/moe/routing/routing_trace.hpp"

namespace specmoe {

// Accesses by the first `tokens` tokens of the requests.
static ExpertCounts count_accesses(RoutingSource& source, const std::vector<std::int64_t>& requests,
                                   std::int64_t tokens) {
  ExpertCounts counts(static_cast<std::size_t>(source.layers()),
                      std::vector<std::int64_t>(static_cast<std::size_t>(source.experts()), 0));
  const auto ranks = static_cast<std::size_t>(source.top_k());
  const auto row = static_cast<std::size_t>(source.layers()) * ranks;
  std::vector<std::int16_t> rows;
  for (const std::int64_t r : requests) {
    const RequestInfo info = source.request(r);
    const std::int64_t take = std::min(tokens, info.prefill_rows + info.decode_rows);
    rows.resize(static_cast<std::size_t>(take) * row);
    source.read(r, 0, take, rows);
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i] >= 0) ++counts[i % row / ranks][static_cast<std::size_t>(rows[i])];
    tokens -= take;
    if (tokens <= 0) break;
  }
  return counts;
}

ExpertCounts read_counts(const Yaml& node, const std::filesystem::path& folder, const RoutingOptions& shape) {
  ExpertCounts counts;
  if (node.is_list()) {
    for (const Yaml& layer : node.items()) {
      counts.emplace_back();
      for (const Yaml& count : layer.items()) counts.back().push_back(count.integer(0, 1'000'000'000'000));
      if (static_cast<int>(counts.back().size()) != shape.experts)
        layer.fail(fmt::format("a count for each of {} experts", shape.experts));
    }
    if (static_cast<int>(counts.size()) != shape.layers)
      node.fail(fmt::format("counts for each of {} MoE layers", shape.layers));
    return counts;
  }
  const auto trace = RoutingTrace::open(folder / node.text());
  if (trace->layers() != shape.layers || trace->experts() != shape.experts)
    node.fail(fmt::format("a trace of {} MoE layers of {} experts", shape.layers, shape.experts));
  std::vector<std::int64_t> requests(static_cast<std::size_t>(trace->requests()));
  std::iota(requests.begin(), requests.end(), 0);
  return count_accesses(*trace, requests, std::numeric_limits<std::int64_t>::max());
}

ExpertCounts count_popularity(Scenario& scenario) {
  // Enough: 32 k selections a layer at top-8. Of a model that makes more than 4096 choices a token, fewer tokens.
  const std::int64_t row = std::int64_t{scenario.model.moe_layers} * scenario.model.top_k;
  const std::int64_t tokens = std::clamp<std::int64_t>((1 << 24) / row, 1, 4096);
  const Workload& work = scenario.workload;
  const std::int64_t end = work.first_request + work.requests;
  RoutingOrigin origin = scenario.routing;
  if (origin.trace.empty()) origin.generator.requests = origin.from_profile.requests = end + 64;
  const auto source = origin.open();
  std::vector<std::int64_t> others, own;
  const auto add = [&](std::int64_t first, std::int64_t last, std::vector<std::int64_t>& to) {
    std::int64_t rows = 0;
    for (std::int64_t r = first; r < last && rows < tokens; ++r) {
      const RequestInfo info = source->request(r);
      rows += info.prefill_rows + info.decode_rows;
      to.push_back(r);
    }
  };
  add(0, std::min(work.first_request, source->requests()), others);
  add(end, source->requests(), others);
  if (others.empty()) add(0, source->requests(), own);
  if (others.empty())
    scenario.notes.push_back("popularity is counted on the run's own requests: the trace has no others");
  return count_accesses(*source, others.empty() ? own : others, tokens);
}

}  // namespace specmoe
