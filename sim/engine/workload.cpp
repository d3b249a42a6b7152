#include "sim/engine/workload.hpp"

#include <algorithm>
#include <limits>

namespace specmoe {

std::int64_t Step::tokens() const {
  std::int64_t sum = 0;
  for (const Slice& slice : slices) sum += slice.rows;
  return sum;
}

StepPlan::StepPlan(const RoutingSource& source, const Workload& workload, bool chunked)
    : source_(source), workload_(workload), next_request_(workload.first_request), chunked_(chunked) {}

void StepPlan::start_batch() {
  const std::int64_t end = std::min(workload_.first_request + workload_.requests, source_.requests());
  for (std::int64_t i = 0; i < workload_.batch && next_request_ < end; ++i, ++next_request_) {
    const RequestInfo info = source_.request(next_request_);
    const std::int64_t decode =
        std::min(info.decode_rows, workload_.output_tokens.value_or(info.decode_rows));
    const std::int64_t row = workload_.prefill ? 0 : info.prefill_rows;
    active_.push_back({next_request_, info.prefill_rows, row, info.prefill_rows + decode,
                       workload_.prefill ? 0 : info.prompt_tokens});
  }
}

std::optional<Step> StepPlan::next() {
  for (;;) {
    if (active_.empty()) start_batch();
    if (active_.empty()) return std::nullopt;
    Step step;
    std::int64_t room = chunked_ ? workload_.prefill_chunk : std::numeric_limits<std::int64_t>::max();
    for (Sequence& s : active_) {
      const std::int64_t rows = std::min(room, s.prefill_rows - s.row);
      if (rows <= 0) continue;
      step.prefill = true;
      step.slices.push_back({s.request, s.row, rows, s.row});
      room -= rows;
      s.row += rows;
      if (s.row < s.prefill_rows) continue;
      ++step.finishing;
      s.context = source_.request(s.request).prompt_tokens;
    }
    if (step.prefill) return step;
    std::erase_if(active_, [](const Sequence& s) { return s.row >= s.end_row; });
    for (Sequence& s : active_) step.slices.push_back({s.request, s.row++, 1, s.context++});
    step.finishing = static_cast<std::int64_t>(step.slices.size());
    if (!step.slices.empty()) return step;
  }
}

std::pair<int, int> layers_of(const MoeModel& model, bool prefill) {
  if (!model.encoder_decoder()) return {0, model.moe_layers};
  int encoder = 0;
  for (const Block& block : model.blocks)
    if (block.stack == Block::Stack::encoder && block.moe_layer >= 0) ++encoder;
  return prefill ? std::pair{0, encoder} : std::pair{encoder, model.moe_layers};
}

StepShape shape_of(const MoeModel& model, const RoutingSource& source, const Step& step) {
  StepShape shape;
  for (const Slice& slice : step.slices) {
    if (!model.encoder_decoder()) {
      shape.add_sequence(slice.context, slice.rows, model.attention.window);
      continue;
    }
    if (step.prefill) {
      shape.add_encoder_sequence(slice.rows);
      continue;
    }
    // A decoder that attends to an encoder begins with a start token; its cache does not hold the prompt.
    const std::int64_t prompt = source.request(slice.request).prompt_tokens;
    const std::int64_t decoded = slice.context - prompt;
    shape.add_sequence(decoded, slice.rows, model.attention.window);
    shape.encoder_positions += prompt;
    if (decoded == 0) shape.new_encoder_positions += prompt;
  }
  return shape;
}

WorkloadPeak peak_of(const MoeModel& model, const RoutingSource& source, const Workload& workload) {
  WorkloadPeak peak;
  StepPlan plan(source, workload, !model.encoder_decoder());
  Bytes most{-1};
  while (const auto step = plan.next()) {
    const StepShape shape = shape_of(model, source, *step);
    ++peak.steps;
    peak.tokens += shape.tokens;
    peak.step_tokens = std::max(peak.step_tokens, shape.tokens);
    peak.sequences = std::max(peak.sequences, shape.sequences);
    if (model.kv_bytes(shape) > most) {
      most = model.kv_bytes(shape);
      peak.longest = shape;
    }
  }
  return peak;
}

void read_routing(const MoeModel& model, RoutingSource& source, const Step& step, bool weights,
                  StepRouting& out) {
  weights = weights && source.has_weights();
  out.layers = source.layers();
  out.top_k = source.top_k();
  out.tokens = step.tokens();
  std::tie(out.first_layer, out.end_layer) = layers_of(model, step.prefill);
  const std::int64_t row_size = static_cast<std::int64_t>(out.layers) * out.top_k;
  out.experts.resize(static_cast<std::size_t>(out.tokens * row_size));
  out.prefill = step.prefill;
  out.weights.resize(weights ? out.experts.size() : 0);
  out.requests.clear();
  out.rows.clear();
  std::size_t at = 0;
  for (const Slice& slice : step.slices) {
    const auto size = static_cast<std::size_t>(slice.rows * row_size);
    source.read(slice.request, slice.first_row, slice.rows, std::span(out.experts).subspan(at, size));
    if (weights)
      source.read_weights(slice.request, slice.first_row, slice.rows,
                          std::span(out.weights).subspan(at, size));
    out.requests.insert(out.requests.end(), static_cast<std::size_t>(slice.rows), slice.request);
    for (std::int64_t row = 0; row < slice.rows; ++row) out.rows.push_back(slice.first_row + row);
    at += size;
  }
}

void expert_waves(const StepRouting& routing, int layer, int experts, bool deduplicate,
                  std::vector<std::vector<ExpertUse>>& waves) {
  if (!deduplicate) {
    waves.assign(static_cast<std::size_t>(routing.tokens), {});
    for (std::int64_t token = 0; token < routing.tokens; ++token)
      for (const std::int16_t expert : routing.at(token, layer))
        if (expert >= 0) waves[static_cast<std::size_t>(token)].push_back({expert, 1});
    return;
  }
  waves.resize(1);
  waves[0].clear();
  std::vector<std::int64_t> rows(static_cast<std::size_t>(experts), 0);
  for (std::int64_t token = routing.tokens - 1; token >= 0; --token) {
    const auto ranks = routing.at(token, layer);
    for (auto expert = ranks.rbegin(); expert != ranks.rend(); ++expert)
      if (*expert >= 0 && rows[static_cast<std::size_t>(*expert)]++ == 0) waves[0].push_back({*expert, 0});
  }
  std::reverse(waves[0].begin(), waves[0].end());
  for (ExpertUse& use : waves[0]) use.rows = rows[static_cast<std::size_t>(use.expert)];
}

FutureUses future_uses(const MoeModel& model, RoutingSource& source, const Workload& workload,
                       bool deduplicate) {
  FutureUses uses(static_cast<std::size_t>(source.layers() * source.experts()));
  StepPlan plan(source, workload, !model.encoder_decoder());
  StepRouting routing;
  std::vector<std::vector<ExpertUse>> waves;
  std::uint32_t date = 0;
  while (const auto step = plan.next()) {
    read_routing(model, source, *step, false, routing);
    for (int layer = routing.first_layer; layer < routing.end_layer; ++layer) {
      expert_waves(routing, layer, source.experts(), deduplicate, waves);
      for (const auto& wave : waves)
        for (const ExpertUse& use : wave)
          uses[static_cast<std::size_t>(layer * source.experts() + use.expert)].push_back(date++);
    }
  }
  return uses;
}

}  // namespace specmoe
