// A linear map from the hidden state before a layer's router to the experts of the layers after it, as the next gate on the
// present state (mixtral-offloading, 2312.17238), but learnt, so that it makes up for the layers in between.
#include "sim/networks/layerwise.hpp"

namespace specmoe {
namespace {

class LinearProbe : public Network {
 public:
  explicit LinearProbe(const NetworkShape& shape)
      : shape_(shape),
        map_(register_module("map",
                             LayerwiseLinear(shape.layers, shape.hidden, shape.distances * shape.experts))) {}

  torch::Tensor forward(const Batch& batch, const std::vector<std::int64_t>& layers) override {
    const torch::Tensor at = torch::tensor(layers, torch::kLong).to(batch.hidden.device());
    return map_->forward(batch.hidden.index_select(2, at), layers)
        .view({batch.pieces(), batch.length(), std::ssize(layers), shape_.distances, shape_.experts});
  }

  PredictorNetwork cost() const override {
    PredictorNetwork net;
    net.layer.products = {{1, shape_.hidden, shape_.distances * shape_.experts}};
    return net;
  }

 private:
  NetworkShape shape_;
  LayerwiseLinear map_;
};

}  // namespace

std::shared_ptr<Network> make_linear_probe(const NetworkShape& shape) {
  return std::make_shared<LinearProbe>(shape);
}

}  // namespace specmoe
