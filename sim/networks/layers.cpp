#include <algorithm>

#include "sim/networks/architectures.hpp"

namespace specmoe {
namespace {

// [B, T, l, E] of the chosen layers: `at(l)` indexes the layers of `wide`.
torch::Tensor pick(const torch::Tensor& wide, std::vector<std::int64_t> at) {
  return wide.index_select(2, torch::tensor(at, torch::kLong).to(wide.device()));
}

std::vector<std::int64_t> shifted(const std::vector<std::int64_t>& layers, std::int64_t first,
                                  std::int64_t count) {
  std::vector<std::int64_t> at;
  for (const std::int64_t layer : layers)
    for (std::int64_t i = 0; i < count; ++i) at.push_back(layer + first + i);
  return at;
}

// The rows of the token before, or after: zeros where there is none.
torch::Tensor shift_tokens(const torch::Tensor& routing, bool before) {
  const torch::Tensor none = torch::zeros_like(routing.narrow(1, 0, 1));
  const std::int64_t rest = routing.size(1) - 1;
  return before ? torch::cat({none, routing.narrow(1, 0, rest)}, 1)
                : torch::cat({routing.narrow(1, 1, rest), none}, 1);
}

}  // namespace

torch::Tensor layers_up_to(const torch::Tensor& routing, const std::vector<std::int64_t>& layers,
                           std::int64_t back) {
  std::vector<std::int64_t> none(routing.sizes().begin(), routing.sizes().end());
  none[2] = back - 1;
  const torch::Tensor wide = torch::cat({torch::zeros(none, routing.options()), routing}, 2);
  return pick(wide, shifted(layers, 0, back))
      .reshape({routing.size(0), routing.size(1), std::ssize(layers), back * routing.size(3)});
}

torch::Tensor token_before(const torch::Tensor& routing, const std::vector<std::int64_t>& layers,
                           std::int64_t distances) {
  const torch::Tensor wide = torch::cat(
      {shift_tokens(routing, true), routing.narrow(2, 0, std::min(distances, routing.size(2)))}, 2);
  torch::Tensor picked = pick(wide, shifted(layers, 1, distances));
  return picked.reshape({routing.size(0), routing.size(1), std::ssize(layers), distances * routing.size(3)});
}

torch::Tensor layers_ahead(const torch::Tensor& routing, const std::vector<std::int64_t>& layers,
                           std::int64_t distances) {
  const torch::Tensor wide = torch::cat(
      {routing, shift_tokens(routing, false).narrow(2, 0, std::min(distances, routing.size(2)))}, 2);
  return pick(wide, shifted(layers, 1, distances))
      .reshape({routing.size(0), routing.size(1), std::ssize(layers), distances, routing.size(3)});
}

torch::Tensor log_odds(const torch::Tensor& logits, std::int64_t top_k) {
  const torch::Tensor q = (logits.softmax(-1) * static_cast<double>(top_k)).clamp(1e-9, 1 - 1e-6);
  return q.log() - (1 - q).log();
}

}  // namespace specmoe
