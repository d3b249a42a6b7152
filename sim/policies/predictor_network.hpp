// What a predictor computes: the shapes of its network, from which its kernels follow.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/moe/model.hpp"
#include "sim/base/kernel.hpp"

namespace specmoe {

/// Name of the kernels of a predictor's network.
inline constexpr char kPredictorKernel[] = "predictor";

/// Of a number of a network's shapes, and of its parameters.
inline constexpr std::int64_t kMostNetworkSize = 10'000'000, kMostNetworkParameters = 1'000'000'000'000;

/// [rows, inner] x [inner, columns] for each token.
struct NetworkProduct {
  std::int64_t rows, inner, columns;
  friend bool operator==(const NetworkProduct&, const NetworkProduct&) = default;
};
/// Attention of each token's query: to so many keys of its own, or with -1 to all tokens of its request up to itself,
/// those of earlier steps cached.
struct NetworkAttention {
  std::int64_t heads, width, keys;
  friend bool operator==(const NetworkAttention&, const NetworkAttention&) = default;
};
/// What runs together.
struct NetworkPart {
  std::vector<NetworkProduct> products;
  std::vector<NetworkAttention> attention;

  bool empty() const { return products.empty() && attention.empty(); }
  /// A kernel each, and after each product an elementwise one over its result: biases, activations, norms and residuals
  /// as an engine fuses them.
  std::vector<Kernel> kernels(const StepShape& shape, WeightFormat format, int block = -1) const;
};

/// What a network that predicts computes and weighs.
struct PredictorNetwork {
  std::string name;
  std::int64_t parameters = 0;
  /// Once a step, from its tokens; and at each MoE layer, when its routing has become known.
  NetworkPart step, layer;

  bool empty() const { return step.empty() && layer.empty(); }
  /// Of the products' matrices.
  std::int64_t weights() const;
};

}  // namespace specmoe
