// A gated recurrent unit over tokens (Cho et al. 2014, 1406.1078), which reads each token's id and what the token before
// was routed to in all layers, and a small perceptron a layer that reads its state and the token's last four layers. What a
// token costs does not grow with its position.
#include "sim/networks/layerwise.hpp"

namespace specmoe {
namespace {

constexpr std::int64_t kBack = 4, kToken = 128, kRouting = 256, kState = 384, kHidden = 256;

class Recurrent : public Network {
 public:
  explicit Recurrent(const NetworkShape& shape)
      : shape_(shape),
        tokens_(register_module("tokens", torch::nn::Embedding(shape.vocabulary + 1, kToken))),
        routing_(register_module("routing", torch::nn::Linear(2 * shape.layers * shape.experts, kRouting))),
        unit_(register_module(
            "unit", torch::nn::GRU(torch::nn::GRUOptions(kToken + kRouting, kState).batch_first(true)))),
        head_(register_module("head", LayerwiseHead(shape.layers, kState + 2 * kBack * shape.experts, kHidden,
                                                    shape.distances * shape.experts, 0.2))) {}

  torch::Tensor forward(const Batch& batch, const std::vector<std::int64_t>& layers) override {
    const std::int64_t b = batch.pieces(), t = batch.length(), n = std::ssize(layers);
    const torch::Tensor routed = torch::cat({batch.chosen, batch.weights}, 3).view({b, t, -1});
    const torch::Tensor before =
        torch::cat({torch::zeros_like(routed.narrow(1, 0, 1)), routed.narrow(1, 0, t - 1)}, 1);
    const torch::Tensor in =
        torch::cat({tokens_->forward(batch.tokens), torch::gelu(routing_->forward(before))}, 2);
    const torch::Tensor state = torch::dropout(
        std::get<0>(unit_->forward(torch::dropout(in, 0.2, is_training()))), 0.2, is_training());
    const torch::Tensor x =
        torch::cat({state.unsqueeze(2).expand({b, t, n, kState}), layers_up_to(batch.chosen, layers, kBack),
                    layers_up_to(batch.weights, layers, kBack)},
                   3);
    return head_->forward(x, layers).view({b, t, n, shape_.distances, shape_.experts});
  }

  PredictorNetwork cost() const override {
    PredictorNetwork net;
    net.step.products = {{1, 2 * shape_.layers * shape_.experts, kRouting},
                         {1, kToken + kRouting, 3 * kState},
                         {1, kState, 3 * kState}};
    net.layer.products = head_->products();
    return net;
  }

 private:
  NetworkShape shape_;
  torch::nn::Embedding tokens_;
  torch::nn::Linear routing_;
  torch::nn::GRU unit_;
  LayerwiseHead head_;
};

}  // namespace

std::shared_ptr<Network> make_recurrent(const NetworkShape& shape) {
  return std::make_shared<Recurrent>(shape);
}

}  // namespace specmoe
