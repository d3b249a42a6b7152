// Linear maps and perceptrons of which every layer of the model has its own.
#pragma once
#include "sim/networks/architectures.hpp"

namespace specmoe {

/// One linear map for each layer.
class LayerwiseLinearImpl : public torch::nn::Module {
 public:
  LayerwiseLinearImpl(std::int64_t layers, std::int64_t inner, std::int64_t columns);
  /// x [B, T, |layers|, inner] -> [B, T, |layers|, columns], by the maps of `layers`.
  torch::Tensor forward(const torch::Tensor& x, const std::vector<std::int64_t>& layers);

 private:
  torch::Tensor weight_, bias_;  // [L, inner, columns], [L, columns]
};
TORCH_MODULE(LayerwiseLinear);

/// A linear map and beside it a perceptron of two layers: what is linear need not be learnt twice.
class LayerwiseHeadImpl : public torch::nn::Module {
 public:
  LayerwiseHeadImpl(std::int64_t layers, std::int64_t inner, std::int64_t hidden, std::int64_t columns,
                    double dropout);
  torch::Tensor forward(const torch::Tensor& x, const std::vector<std::int64_t>& layers);
  std::vector<NetworkProduct> products() const;

 private:
  std::int64_t inner_, hidden_, columns_;
  double dropout_;
  LayerwiseLinear up_, down_, straight_;
};
TORCH_MODULE(LayerwiseHead);

}  // namespace specmoe
