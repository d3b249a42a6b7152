// ProMoE's predictor (2410.22134): a small perceptron for every layer. There it reads the layer's hidden state; here, what
// a recording always has: the experts and gate weights of the last four layers, those that the token before had where
// the guess is for, and the token's id.
#include "sim/networks/layerwise.hpp"

namespace specmoe {
namespace {

constexpr std::int64_t kBack = 4, kHidden = 256, kToken = 64;

class PerLayerMlp : public Network {
 public:
  explicit PerLayerMlp(const NetworkShape& shape)
      : shape_(shape),
        tokens_(register_module("tokens", torch::nn::Embedding(shape.vocabulary + 1, kToken))),
        head_(register_module("head", LayerwiseHead(shape.layers, inner(shape), kHidden,
                                                    shape.distances * shape.experts, 0.2))) {}

  torch::Tensor forward(const Batch& batch, const std::vector<std::int64_t>& layers) override {
    const std::int64_t b = batch.pieces(), t = batch.length(), n = std::ssize(layers);
    const torch::Tensor token = torch::dropout(tokens_->forward(batch.tokens), 0.2, is_training());
    const torch::Tensor x = torch::cat(
        {layers_up_to(batch.chosen, layers, kBack), layers_up_to(batch.weights, layers, kBack),
         token_before(batch.chosen, layers, shape_.distances),
         token_before(batch.weights, layers, shape_.distances), token.unsqueeze(2).expand({b, t, n, kToken})},
        3);
    return head_->forward(x, layers).view({b, t, n, shape_.distances, shape_.experts});
  }

  PredictorNetwork cost() const override {
    PredictorNetwork net;
    net.layer.products = head_->products();
    return net;
  }

 private:
  static std::int64_t inner(const NetworkShape& s) { return 2 * (kBack + s.distances) * s.experts + kToken; }

  NetworkShape shape_;
  torch::nn::Embedding tokens_;
  LayerwiseHead head_;
};

}  // namespace

std::shared_ptr<Network> make_per_layer_mlp(const NetworkShape& shape) {
  return std::make_shared<PerLayerMlp>(shape);
}

}  // namespace specmoe
