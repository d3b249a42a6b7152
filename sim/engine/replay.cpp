#include "sim/engine/replay.hpp"

#include <algorithm>

namespace specmoe {
namespace {

// What is looked up together; phase and experts of one layer.
using Visit = std::function<void(bool prefill, std::span<const ExpertId> group)>;

// Keeps the last of each expert's appearances.
void keep_last(std::vector<ExpertId>& group, int experts) {
  std::vector<bool> seen(static_cast<std::size_t>(experts), false);
  std::reverse(group.begin(), group.end());
  std::erase_if(group, [&](ExpertId id) {
    const bool again = seen[static_cast<std::size_t>(id.expert)];
    seen[static_cast<std::size_t>(id.expert)] = true;
    return again;
  });
  std::reverse(group.begin(), group.end());
}

// One step: layer by layer the experts of its rows, [row, layer, rank].
void walk_step(const RoutingSource& source, std::span<const std::int16_t> rows, bool prefill, Lookup lookup,
               const Visit& visit) {
  const auto k = static_cast<std::size_t>(source.top_k());
  const std::size_t row_size = static_cast<std::size_t>(source.layers()) * k;
  std::vector<ExpertId> group;
  for (int layer = 0; layer < source.layers(); ++layer) {
    group.clear();
    for (std::size_t at = static_cast<std::size_t>(layer) * k; at < rows.size(); at += row_size)
      for (const std::int16_t expert : rows.subspan(at, k))
        if (expert >= 0) group.push_back({layer, expert});
    if (lookup == Lookup::layer) keep_last(group, source.experts());
    visit(prefill, group);
  }
}

void walk(RoutingSource& source, const Replay& options, const Visit& visit) {
  const std::size_t row_size =
      static_cast<std::size_t>(source.layers()) * static_cast<std::size_t>(source.top_k());
  const std::int64_t requests = std::min(options.requests.value_or(source.requests()), source.requests());
  std::vector<std::int16_t> rows;
  for (std::int64_t request = 0; request < requests; ++request) {
    const RequestInfo info = source.request(request);
    if (info.prefill_rows > 0) {
      rows.resize(static_cast<std::size_t>(info.prefill_rows) * row_size);
      source.read(request, 0, info.prefill_rows, rows);
      walk_step(source, rows, true, options.lookup, visit);
    }
    rows.resize(row_size);
    for (std::int64_t row = 0; row < info.decode_rows; ++row) {
      source.read(request, info.prefill_rows + row, 1, rows);
      walk_step(source, rows, false, options.lookup, visit);
    }
  }
}

}  // namespace

ReplayResult replay(RoutingSource& source, const Replay& options) {
  EvictionContext context{source.layers(), source.experts(), options.seed, nullptr};
  FutureUses future;
  if (options.eviction->needs_future) {
    future.resize(context.all_experts());
    std::uint32_t date = 0;
    walk(source, options, [&](bool, std::span<const ExpertId> group) {
      for (const ExpertId id : group) future[context.index(id)].push_back(date++);
    });
    context.future = &future;
  }
  ExpertCache cache(options.cache, *options.eviction, context);
  ReplayResult result;
  std::vector<bool> hits;
  walk(source, options, [&](bool prefill, std::span<const ExpertId> group) {
    if (options.lookup == Lookup::layer) {
      cache.access_group(group, hits);
    } else {
      hits.clear();
      for (const ExpertId id : group) hits.push_back(cache.access(id));
    }
    if (options.observe) options.observe(prefill, group, hits);
    (prefill ? result.prefill_accesses : result.decode_accesses) += std::ssize(group);
    (prefill ? result.prefill_hits : result.decode_hits) += std::count(hits.begin(), hits.end(), true);
  });
  return result;
}

}  // namespace specmoe
