#include "sim/networks/batches.hpp"

#include <algorithm>
#include <numeric>

namespace specmoe {

using torch::Tensor;

Batches::Batches(const LearningData& data, NetworkShape shape, const std::vector<std::int32_t>& known_ids,
                 torch::Device device, const HiddenStates* hidden)
    : data_(data), hidden_(hidden), shape_(shape), device_(device) {
  const auto rows = static_cast<std::int64_t>(data.rows());
  const auto view = [](const auto& values, std::vector<std::int64_t> sizes, torch::ScalarType type) {
    using T = std::remove_cvref_t<decltype(values[0])>;
    return torch::from_blob(const_cast<T*>(values.data()), sizes, type);
  };
  const std::vector<std::int64_t> sizes{rows, shape.layers, shape.top_k};
  experts_ = view(data.chosen, sizes, torch::kShort).to(device);
  const Tensor there = experts_ >= 0;
  weights_ = data.weights.empty() ? there.to(torch::kFloat)
                                  : view(data.weights, sizes, torch::kFloat).to(device) * there;
  weights_ = weights_ / weights_.sum(2, true).clamp_min(1e-9);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(rows),
                                   static_cast<std::int32_t>(shape.vocabulary));
  for (std::size_t row = 0; row < data.token_ids.size(); ++row) {
    const auto found = std::lower_bound(known_ids.begin(), known_ids.end(), data.token_ids[row]);
    if (found != known_ids.end() && *found == data.token_ids[row])
      tokens[row] = static_cast<std::int32_t>(found - known_ids.begin());
  }
  tokens_ = torch::tensor(tokens, torch::kInt).to(device);
}

Batch Batches::make(std::span<const Piece> pieces) const {
  const auto b = std::ssize(pieces);
  std::int64_t t = 0;
  for (const Piece& piece : pieces) t = std::max(t, piece.rows);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(b * t), -1);
  for (std::ptrdiff_t i = 0; i < b; ++i) {
    const auto first = rows.begin() + i * t;
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    std::iota(first, first + piece.rows,
              data_.requests[static_cast<std::size_t>(piece.request)].first_row + piece.first_row);
  }
  const Tensor at = torch::tensor(rows, torch::kLong).to(device_);
  const Tensor valid = at >= 0, safe = at.clamp_min(0);
  const Tensor experts =
      experts_.index_select(0, safe).to(torch::kLong).masked_fill(~valid.view({-1, 1, 1}), -1);
  const Tensor slot = torch::where(experts >= 0, experts, torch::full_like(experts, shape_.experts));
  const auto spread = [&](const Tensor& values) {
    return torch::zeros({b * t, shape_.layers, shape_.experts + 1}, values.options())
        .scatter_(2, slot, values)
        .narrow(2, 0, shape_.experts)
        .reshape({b, t, shape_.layers, shape_.experts});
  };
  Batch batch;
  const Tensor weights = weights_.index_select(0, safe);
  batch.chosen = spread(torch::ones_like(weights));
  batch.weights = spread(weights);
  batch.tokens =
      tokens_.index_select(0, safe).to(torch::kLong).masked_fill(~valid, shape_.vocabulary).view({b, t});
  if (shape_.hidden > 0) {
    batch.hidden = torch::zeros({b, t, shape_.layers, shape_.hidden});
    for (std::ptrdiff_t i = 0; i < b; ++i) {
      const Piece& piece = pieces[static_cast<std::size_t>(i)];
      const Tensor states = batch.hidden[i].narrow(0, 0, piece.rows);  // contiguous
      hidden_->read(data_.requests[static_cast<std::size_t>(piece.request)].trace_row + piece.first_row,
                    piece.rows,
                    std::span(states.data_ptr<float>(), static_cast<std::size_t>(states.numel())));
    }
    batch.hidden = batch.hidden.to(device_);
  }
  return batch;
}

std::vector<Piece> Batches::cut(std::span<const int> requests, std::int64_t context) const {
  std::vector<Piece> pieces;
  for (const int request : requests) {
    const std::int64_t rows = data_.requests[static_cast<std::size_t>(request)].rows;
    for (std::int64_t first = 0; first < rows; first += context)
      pieces.push_back({request, first, std::min(context, rows - first)});
  }
  return pieces;
}

std::vector<std::int32_t> frequent_ids(const LearningData& data, std::span<const int> requests) {
  if (data.token_ids.empty()) return {};
  std::vector<int> count(static_cast<std::size_t>(data.vocabulary));
  for (const int request : requests) {
    const auto& r = data.requests[static_cast<std::size_t>(request)];
    for (std::int64_t row = r.first_row; row < r.first_row + r.rows; ++row)
      if (const std::int32_t id = data.token_ids[static_cast<std::size_t>(row)]; id >= 0)
        ++count[static_cast<std::size_t>(id)];
  }
  std::vector<std::int32_t> out;
  for (std::int32_t id = 0; id < data.vocabulary; ++id)
    if (count[static_cast<std::size_t>(id)] >= 2) out.push_back(id);
  return out;
}

Targets targets_of(const Batch& batch, const std::vector<std::int64_t>& layers, const NetworkShape& shape,
                   bool same_token) {
  Targets out;
  out.truth = layers_ahead(batch.chosen, layers, shape.distances);
  out.valid = out.truth.sum(-1) > 0;
  if (same_token) {
    const Tensor ahead =
        torch::tensor(layers, torch::kLong).unsqueeze(1) + torch::arange(1, shape.distances + 1);
    out.valid = out.valid.logical_and((ahead < shape.layers).to(out.valid.device()));
  }
  return out;
}

}  // namespace specmoe
