#include "sim/networks/layerwise.hpp"

#include <cmath>

namespace specmoe {

LayerwiseLinearImpl::LayerwiseLinearImpl(std::int64_t layers, std::int64_t inner, std::int64_t columns)
    : weight_(register_parameter(
          "weight", (2 * torch::rand({layers, inner, columns}) - 1) / std::sqrt(static_cast<double>(inner)))),
      bias_(register_parameter("bias", torch::zeros({layers, columns}))) {}

torch::Tensor LayerwiseLinearImpl::forward(const torch::Tensor& x, const std::vector<std::int64_t>& layers) {
  const std::int64_t b = x.size(0), t = x.size(1), n = x.size(2);
  const torch::Tensor at = torch::tensor(layers, torch::kLong).to(x.device());
  const torch::Tensor rows = x.reshape({b * t, n, x.size(3)}).transpose(0, 1);  // [n, B T, inner]
  const torch::Tensor y =
      torch::baddbmm(bias_.index_select(0, at).unsqueeze(1), rows, weight_.index_select(0, at));
  return y.transpose(0, 1).contiguous().view({b, t, n, weight_.size(2)});
}

LayerwiseHeadImpl::LayerwiseHeadImpl(std::int64_t layers, std::int64_t inner, std::int64_t hidden,
                                     std::int64_t columns, double dropout)
    : inner_(inner),
      hidden_(hidden),
      columns_(columns),
      dropout_(dropout),
      up_(register_module("up", LayerwiseLinear(layers, inner, hidden))),
      down_(register_module("down", LayerwiseLinear(layers, hidden, columns))),
      straight_(register_module("straight", LayerwiseLinear(layers, inner, columns))) {}

torch::Tensor LayerwiseHeadImpl::forward(const torch::Tensor& x, const std::vector<std::int64_t>& layers) {
  const torch::Tensor h = torch::dropout(torch::gelu(up_->forward(x, layers)), dropout_, is_training());
  return straight_->forward(x, layers) + down_->forward(h, layers);
}

std::vector<NetworkProduct> LayerwiseHeadImpl::products() const {
  return {{1, inner_, hidden_}, {1, hidden_, columns_}, {1, inner_, columns_}};
}

}  // namespace specmoe
