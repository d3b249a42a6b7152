// SpecMoE's own: what each layer chose adds to a hidden vector of every layer from it on, one matrix whose lower blocks
// are masked (MADE, Germain et al. 2015, 1502.03509), so that all layers are one product in training and each reads only
// what is known there. To it come the token's id, the two ids and the routing of the two tokens before, and by each layer
// what the token before chose in the layers ahead. A residual layer and a linear map for each layer give the logits.
#include <algorithm>

#include "sim/networks/layerwise.hpp"

namespace specmoe {
namespace {

using torch::Tensor;
namespace nn = torch::nn;

constexpr std::int64_t kHidden = 256, kContext = 384, kToken = 128, kTokens = 3;
constexpr double kDropout = 0.2, kInputDropout = 0.1, kUnknownIds = 0.1;

// By `back` tokens earlier; zeros, or `none`, before the first.
Tensor earlier(const Tensor& x, std::int64_t back, double none = 0) {
  const std::int64_t gone = std::min(back, x.size(1));
  std::vector<std::int64_t> sizes(x.sizes().begin(), x.sizes().end());
  sizes[1] = gone;
  return torch::cat({torch::full(sizes, none, x.options()), x.narrow(1, 0, x.size(1) - gone)}, 1);
}

class Masked : public Network {
 public:
  explicit Masked(const NetworkShape& s)
      : shape_(s),
        routed_(2 * s.experts),
        tokens_(register_module("tokens", nn::Embedding(s.vocabulary + 1, kToken))),
        from_tokens_(register_module("from_tokens", nn::Linear(kTokens * kToken, kContext))),
        before1_(register_module("before1", nn::Linear(s.layers * routed_, kContext))),
        before2_(register_module("before2", nn::Linear(s.layers * routed_, kContext))),
        norm1_(register_module("norm1", nn::LayerNorm(nn::LayerNormOptions({kContext})))),
        up_(register_module("up", nn::Linear(kContext, 2 * kContext))),
        down_(register_module("down", nn::Linear(2 * kContext, kContext))),
        norm2_(register_module("norm2", nn::LayerNorm(nn::LayerNormOptions({kContext})))),
        to_layers_(register_module("to_layers", nn::Linear(kContext, s.layers * kHidden))),
        layers_(register_parameter("layers", 0.03 * torch::randn({s.layers * routed_, s.layers * kHidden}))),
        ahead_(register_module("ahead", LayerwiseLinear(s.layers, s.distances * routed_, kHidden))),
        residual_(register_module("residual", LayerwiseLinear(s.layers, kHidden, kHidden))),
        out_(register_module("out", LayerwiseLinear(s.layers, 2 * kHidden, s.distances * s.experts))),
        straight_(register_module("straight", LayerwiseLinear(s.layers * s.distances, routed_, s.experts))) {
    torch::NoGradGuard guard;
    tokens_->weight.mul_(0.1);
    straight_->parameters()[0].zero_();
    const Tensor layer = torch::arange(s.layers);
    const Tensor known = layer.unsqueeze(1) <= layer.unsqueeze(0);
    mask_ = register_buffer("mask", known.repeat_interleave(routed_, 0).repeat_interleave(kHidden, 1));
  }

  Tensor forward(const Batch& batch, const std::vector<std::int64_t>& layers) override {
    const std::int64_t b = batch.pieces(), t = batch.length(), n = std::ssize(layers), d = shape_.distances;
    const Tensor routing = torch::cat({batch.chosen, batch.weights}, 3);  // [B, T, L, 2 E]
    const Tensor rows = routing.flatten(2);

    Tensor ids = batch.tokens;
    if (is_training())  // so that an id that training did not see has a meaning
      ids = ids.masked_fill(torch::rand(ids.sizes(), rows.options()) < kUnknownIds, shape_.vocabulary);
    std::vector<Tensor> embedded;
    for (std::int64_t back = 0; back < kTokens; ++back)
      embedded.push_back(tokens_->forward(back ? earlier(ids, back, double(shape_.vocabulary)) : ids));
    Tensor c = from_tokens_->forward(drop(torch::cat(embedded, 2), kDropout)) +
               before1_->forward(drop(earlier(rows, 1), kInputDropout)) +
               before2_->forward(drop(earlier(rows, 2), kInputDropout));
    c = c + drop(down_->forward(torch::gelu(up_->forward(norm1_->forward(c)))), kDropout);
    c = drop(norm2_->forward(c), kDropout);

    const Tensor at = torch::tensor(layers, torch::kLong).to(rows.device());
    Tensor h = torch::matmul(drop(rows, kInputDropout), layers_ * mask_) + to_layers_->forward(c);
    const Tensor before = drop(token_before(routing, layers, d), kInputDropout);  // [B, T, n, d 2 E]
    h = h.view({b, t, shape_.layers, kHidden}).index_select(2, at) + ahead_->forward(before, layers);
    Tensor a = drop(torch::gelu(h), kDropout);
    a = a + drop(torch::gelu(residual_->forward(a, layers)), kDropout);
    const Tensor y = out_->forward(torch::cat({drop(h, kDropout), a}, 3), layers);

    std::vector<std::int64_t> maps;
    for (const std::int64_t layer : layers)
      for (std::int64_t i = 0; i < d; ++i) maps.push_back(layer * d + i);
    const Tensor straight = straight_->forward(before.view({b, t, n * d, routed_}), maps);
    return y.view({b, t, n, d, shape_.experts}) + straight.view({b, t, n, d, shape_.experts});
  }

  PredictorNetwork cost() const override {
    const std::int64_t all = shape_.layers * routed_, d = shape_.distances;
    PredictorNetwork net;
    net.step.products = {
        {1, kTokens * kToken, kContext}, {1, all, kContext},          {1, all, kContext},
        {1, kContext, 2 * kContext},     {1, 2 * kContext, kContext}, {1, kContext, shape_.layers * kHidden}};
    // A layer's choices, to the hidden vectors of all layers; then what the layer alone has.
    net.layer.products = {{1, routed_, shape_.layers * kHidden},
                          {1, d * routed_, kHidden},
                          {1, kHidden, kHidden},
                          {1, 2 * kHidden, d * shape_.experts},
                          {1, routed_, d * shape_.experts}};
    return net;
  }

 private:
  Tensor drop(const Tensor& x, double share) const { return torch::dropout(x, share, is_training()); }

  NetworkShape shape_;
  std::int64_t routed_;
  nn::Embedding tokens_;
  nn::Linear from_tokens_, before1_, before2_;
  nn::LayerNorm norm1_;
  nn::Linear up_, down_;
  nn::LayerNorm norm2_;
  nn::Linear to_layers_;
  Tensor layers_, mask_;
  LayerwiseLinear ahead_, residual_, out_, straight_;
};

}  // namespace

std::shared_ptr<Network> make_masked(const NetworkShape& shape) { return std::make_shared<Masked>(shape); }

}  // namespace specmoe
