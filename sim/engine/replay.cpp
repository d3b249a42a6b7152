#include "sim/engine/replay.hpp"

#include <algorithm>

namespace specmoe {
namespace {

// What is looked up together; phase and experts of one layer.
using Visit = std::function<void(bool prefill, std::span<const ExpertId> group)>;
// The routing of a layer, before its experts are looked up.
using Known = std::function<void(const StepRouting& step, int layer)>;

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

// One step: layer by layer the experts of its rows.
void walk_step(const RoutingSource& source, const StepRouting& step, Lookup lookup, const Known& known,
               const Visit& visit) {
  std::vector<ExpertId> group;
  for (int layer = 0; layer < source.layers(); ++layer) {
    known(step, layer);
    group.clear();
    for (std::int64_t token = 0; token < step.tokens; ++token)
      for (const std::int16_t expert : step.at(token, layer))
        if (expert >= 0) group.push_back({layer, expert});
    if (lookup == Lookup::layer) keep_last(group, source.experts());
    visit(step.prefill, group);
  }
}

void walk(RoutingSource& source, const Replay& options, const Known& known, const Visit& visit) {
  const std::int64_t row_size = static_cast<std::int64_t>(source.layers()) * source.top_k();
  const std::int64_t requests = std::min(options.requests.value_or(source.requests()), source.requests());
  const bool weights = options.eviction->wants_weights && source.has_weights();
  StepRouting step{source.layers(), source.top_k(), 0, 0, source.layers(), {}};
  for (std::int64_t request = 0; request < requests; ++request) {
    const RequestInfo info = source.request(request);
    const auto walk_rows = [&](std::int64_t first, std::int64_t rows, bool prefill) {
      step.tokens = rows;
      step.prefill = prefill;
      step.requests.assign(static_cast<std::size_t>(rows), request);
      step.experts.resize(static_cast<std::size_t>(rows * row_size));
      source.read(request, first, rows, step.experts);
      if (weights) {
        step.weights.resize(step.experts.size());
        source.read_weights(request, first, rows, step.weights);
      }
      walk_step(source, step, options.lookup, known, visit);
    };
    if (info.prefill_rows > 0) walk_rows(0, info.prefill_rows, true);
    for (std::int64_t row = 0; row < info.decode_rows; ++row) walk_rows(info.prefill_rows + row, 1, false);
  }
}

}  // namespace

ReplayResult replay(RoutingSource& source, const Replay& options) {
  EvictionContext context{source.layers(), source.experts(), options.seed, nullptr};
  context.parameters = options.parameters;
  FutureUses future;
  if (options.eviction->needs_future) {
    future.resize(context.all_experts());
    std::uint32_t date = 0;
    const auto date_uses = [&](bool, std::span<const ExpertId> group) {
      for (const ExpertId id : group) future[context.index(id)].push_back(date++);
    };
    walk(
        source, options, [](const StepRouting&, int) {}, date_uses);
    context.future = &future;
  }
  ExpertCache cache(options.cache, *options.eviction, context);
  ReplayResult result;
  std::vector<bool> hits;
  const auto known = [&](const StepRouting& step, int layer) { cache.routed(step, layer); };
  walk(source, options, known, [&](bool prefill, std::span<const ExpertId> group) {
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
