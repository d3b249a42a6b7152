#include "sim/learning/learning_data.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/input_error.hpp"

namespace specmoe {

LearningData load_learning_data(RoutingTrace& trace, const LearningLimits& limits) {
  LearningData data;
  data.header = trace.header();
  data.layers = trace.layers();
  data.experts = trace.experts();
  data.top_k = trace.top_k();
  data.has_weights = trace.has_weights();
  data.has_token_ids = trace.header().has_token_ids;
  const auto row_size = static_cast<std::size_t>(data.layers * data.top_k);
  std::int64_t rows = 0, trace_row = 0;
  std::vector<std::int32_t> ids;
  for (std::int64_t r = 0; r < trace.requests(); ++r) {
    const RequestInfo info = trace.request(r);
    const std::int64_t held = info.prefill_rows + info.decode_rows, taken = std::min(held, limits.rows);
    if (data.has_token_ids) {
      // Of the whole trace, so that a network fitted on a part fits the whole.
      ids.resize(static_cast<std::size_t>(held));
      trace.read_token_ids(r, 0, held, ids);
      for (const std::int32_t id : ids) data.vocabulary = std::max(data.vocabulary, id + 1);
    }
    if (taken > 0 && std::ssize(data.requests) < limits.requests) {
      data.requests.push_back(
          {rows, taken, std::min(info.prefill_rows, taken), info.prompt_tokens, trace_row, trace.label(r)});
      const std::size_t before = data.chosen.size(), more = static_cast<std::size_t>(taken) * row_size;
      data.chosen.resize(before + more);
      trace.read(r, 0, taken, std::span(data.chosen).subspan(before));
      if (data.has_weights) {
        data.weights.resize(before + more);
        trace.read_weights(r, 0, taken, std::span(data.weights).subspan(before));
      }
      if (data.has_token_ids) data.token_ids.insert(data.token_ids.end(), ids.begin(), ids.begin() + taken);
      rows += taken;
    }
    trace_row += held;
  }
  if (data.requests.empty())
    throw InputError(trace.file(), 0, "leaves no rows to learn from", "at least one request");
  return data;
}

bool HiddenStates::recorded(const std::filesystem::path& trace) {
  return H5File::open(trace).exists("/hidden");
}

HiddenStates::HiddenStates(const std::filesystem::path& trace) : file_(H5File::open(trace)) {
  if (!file_.exists("/hidden"))
    throw InputError(file_.name(), 0, "has no hidden states", "a trace recorded with them (/hidden)");
  const auto shape = file_.shape("/hidden");
  const auto routed = file_.exists("/experts") ? file_.shape("/experts") : std::vector<std::int64_t>{};
  if (shape.size() != 3 || routed.size() != 3 || shape[0] != routed[0] || shape[1] != routed[1] ||
      shape[2] < 1 || shape[2] > 1'000'000)
    throw InputError(file_.name(), 0, fmt::format("/hidden has the shape [{}]", fmt::join(shape, ", ")),
                     "[row, layer, width] with the rows and layers of /experts");
  rows_ = shape[0];
  layers_ = static_cast<int>(shape[1]);
  width_ = static_cast<int>(shape[2]);
}

void HiddenStates::read(std::int64_t first_row, std::int64_t rows, std::span<float> out) const {
  if (first_row < 0 || rows < 0 || rows > rows_ - first_row)
    throw InputError(file_.name(), 0, fmt::format("{} rows of /hidden from {} asked for", rows, first_row),
                     fmt::format("rows 0 to {}", rows_ - 1));
  file_.read_rows<float>("/hidden", first_row, rows, out);
}

}  // namespace specmoe
