// The seed's InterLayerSpeculationModel (models/interlayer_model.py:12-200 of cyanmishra92/specMoE): the experts of the
// last three layers of every token as a sequence, a transformer over it, attention to the token's own three and to a
// learnt memory of patterns, a multilayer perceptron. With one distance, 12 layers and 128 experts it has the seed's
// parameters to the last one: 8,416,769 (dense), 24,532,609 (enhanced), 4,624,769 (lightweight, there called 2.1M).
//
// Where it differs: attention is causal (the seed's sees the future, so that it cannot run while decoding); slots
// know their true layer, for which the seed has the table but passes 0, 1, 2; it answers for every layer, not for two;
// experts of a top-k model add up by gate weight; the last product is as wide as there are distances; norms come first;
// the confidence head, which the seed does not train, adds the part of the logits that all experts share.
#include <cmath>
#include <limits>

#include "sim/networks/architectures.hpp"

namespace specmoe {
namespace {

using torch::Tensor;
namespace nn = torch::nn;

constexpr std::int64_t kSlots = 3, kPatterns = 64;
constexpr double kDropout = 0.12;  // the seed's

struct Widths {
  std::int64_t width, heads, feed_forward, layers;
};

class AttentionImpl : public nn::Module {
 public:
  AttentionImpl(std::int64_t width, std::int64_t heads)
      : heads_(heads),
        in_(register_module("into", nn::Linear(width, 3 * width))),
        out_(register_module("out", nn::Linear(width, width))) {}
  // q [N, Q, d], kv [N or 1, K, d], mask [Q, K] of 0 and -inf, or undefined
  Tensor forward(const Tensor& q, const Tensor& kv, const Tensor& mask = {}) {
    const std::int64_t width = q.size(2), head = width / heads_;
    const auto weight = in_->weight.chunk(3), bias = in_->bias.chunk(3);
    const auto split = [&](const Tensor& x, int part) {
      return torch::linear(x, weight[part], bias[part])
          .view({x.size(0), x.size(1), heads_, head})
          .transpose(1, 2);
    };
    Tensor scores = torch::matmul(split(q, 0), split(kv, 1).transpose(2, 3)) / std::sqrt(double(head));
    if (mask.defined()) scores = scores + mask;
    const Tensor mixed = torch::matmul(scores.softmax(-1), split(kv, 2));
    return out_->forward(mixed.transpose(1, 2).reshape({q.size(0), q.size(1), width}));
  }

 private:
  std::int64_t heads_;
  nn::Linear in_, out_;
};
TORCH_MODULE(Attention);

class EncoderLayerImpl : public nn::Module {
 public:
  explicit EncoderLayerImpl(const Widths& w)
      : attention_(register_module("attention", Attention(w.width, w.heads))),
        up_(register_module("up", nn::Linear(w.width, w.feed_forward))),
        down_(register_module("down", nn::Linear(w.feed_forward, w.width))),
        norm1_(register_module("norm1", nn::LayerNorm(nn::LayerNormOptions({w.width})))),
        norm2_(register_module("norm2", nn::LayerNorm(nn::LayerNormOptions({w.width})))) {}
  Tensor forward(Tensor x, const Tensor& mask) {
    const Tensor y = norm1_->forward(x);
    x = x + torch::dropout(attention_->forward(y, y, mask), kDropout, is_training());
    return x + torch::dropout(down_->forward(torch::gelu(up_->forward(norm2_->forward(x)))), kDropout,
                              is_training());
  }

 private:
  Attention attention_;
  nn::Linear up_, down_;
  nn::LayerNorm norm1_, norm2_;
};
TORCH_MODULE(EncoderLayer);

class InterlayerTransformer : public Network {
 public:
  InterlayerTransformer(const NetworkShape& shape, const Widths& widths)
      : shape_(shape),
        w_(widths),
        experts_(register_parameter("experts", torch::randn({shape.experts, widths.width}))),
        layers_(register_parameter("layers", torch::randn({shape.layers, widths.width}))),
        patterns_(register_parameter("patterns", 0.02 * torch::randn({kPatterns, widths.width}))),
        encoder_(register_module("encoder", nn::ModuleList())),
        across_(register_module("across", Attention(widths.width, widths.heads))),
        recall_(register_module("recall", Attention(widths.width, widths.heads))),
        norm_(register_module("norm", nn::LayerNorm(nn::LayerNormOptions({widths.width})))),
        head1_(register_module("head1", nn::Linear(widths.width, widths.feed_forward))),
        head2_(register_module("head2", nn::Linear(widths.feed_forward, widths.feed_forward / 2))),
        head3_(
            register_module("head3", nn::Linear(widths.feed_forward / 2, shape.experts * shape.distances))),
        confidence1_(register_module("confidence1", nn::Linear(widths.width, widths.width / 2))),
        confidence2_(register_module("confidence2", nn::Linear(widths.width / 2, 1))) {
    for (std::int64_t i = 0; i < w_.layers; ++i) encoder_->push_back(EncoderLayer(w_));
  }

  Tensor forward(const Batch& batch, const std::vector<std::int64_t>& layers) override {
    const std::int64_t b = batch.pieces(), t = batch.length(), n = std::ssize(layers), d = w_.width;
    // [B, T, L + 2, d]: two absent layers in front
    Tensor slots = torch::matmul(batch.weights, experts_) + layers_;
    slots = torch::cat({torch::zeros({b, t, kSlots - 1, d}, slots.options()), slots}, 2);
    std::vector<std::int64_t> at;
    for (const std::int64_t layer : layers)
      for (std::int64_t i = 0; i < kSlots; ++i) at.push_back(layer + i);
    Tensor x = slots.index_select(2, torch::tensor(at, torch::kLong).to(slots.device()))
                   .view({b, t, n, kSlots, d})
                   .permute({0, 2, 1, 3, 4})
                   .reshape({b * n, t * kSlots, d});
    x = torch::dropout(x + positions(t * kSlots).to(x.device()), kDropout, is_training());
    const Tensor mask = causal(t).to(x.device());
    for (const auto& layer : *encoder_) x = layer->as<EncoderLayer>()->forward(x, mask);
    x = x.view({b * n * t, kSlots, d});
    const Tensor query = x.mean(1, true);
    const Tensor z =
        norm_->forward(query + across_->forward(query, x) +
                       recall_->forward(query.view({1, -1, d}), patterns_.unsqueeze(0)).view_as(query));
    const Tensor y = torch::dropout(torch::gelu(head2_->forward(torch::gelu(head1_->forward(z)))), kDropout,
                                    is_training());
    const Tensor shared = confidence2_->forward(torch::gelu(confidence1_->forward(z)));
    return (head3_->forward(y) + shared)
        .view({b, n, t, shape_.distances, shape_.experts})
        .permute({0, 2, 1, 3, 4});
  }

  // Attention as that of one query with a key a token: a third of the keys that are read, and it goes on growing past the
  // tokens that the network sees. The products are many times that.
  PredictorNetwork cost() const override {
    const std::int64_t d = w_.width, ff = w_.feed_forward;
    PredictorNetwork net;
    for (std::int64_t i = 0; i < w_.layers; ++i) {
      net.layer.products.insert(net.layer.products.end(),
                                {{kSlots, d, 3 * d}, {kSlots, d, d}, {kSlots, d, ff}, {kSlots, ff, d}});
      net.layer.attention.push_back({w_.heads, d / w_.heads, -1});
    }
    net.layer.products.insert(net.layer.products.end(), {{1, d, d},
                                                         {kSlots, d, 2 * d},
                                                         {1, d, d},  // across
                                                         {1, d, d},
                                                         {1, d, d},  // recall; its keys are constants
                                                         {1, d, ff},
                                                         {1, ff, ff / 2},
                                                         {1, ff / 2, shape_.experts * shape_.distances},
                                                         {1, d, d / 2},
                                                         {1, d / 2, 1}});
    net.layer.attention.push_back({w_.heads, d / w_.heads, kSlots});
    net.layer.attention.push_back({w_.heads, d / w_.heads, kPatterns});
    return net;
  }

 private:
  // Sines and cosines, [positions, d].
  Tensor positions(std::int64_t count) const {
    const Tensor at = torch::arange(count, torch::kFloat).unsqueeze(1);
    const Tensor rate =
        torch::exp(torch::arange(0, w_.width, 2, torch::kFloat) * (-std::log(10000.0) / double(w_.width)));
    return torch::stack({torch::sin(at * rate), torch::cos(at * rate)}, 2).view({count, w_.width});
  }
  // A token's slots see each other and those of earlier tokens.
  static Tensor causal(std::int64_t tokens) {
    const Tensor token = torch::arange(tokens * kSlots).div(kSlots, "floor");
    return torch::zeros({tokens * kSlots, tokens * kSlots})
        .masked_fill(token.unsqueeze(0) > token.unsqueeze(1), -std::numeric_limits<float>::infinity());
  }

  NetworkShape shape_;
  Widths w_;
  Tensor experts_, layers_, patterns_;
  nn::ModuleList encoder_;
  Attention across_, recall_;
  nn::LayerNorm norm_;
  nn::Linear head1_, head2_, head3_, confidence1_, confidence2_;
};

}  // namespace

std::shared_ptr<Network> make_dense(const NetworkShape& shape) {
  return std::make_shared<InterlayerTransformer>(shape, Widths{320, 10, 1280, 5});
}
std::shared_ptr<Network> make_enhanced(const NetworkShape& shape) {
  return std::make_shared<InterlayerTransformer>(shape, Widths{512, 16, 2048, 6});
}
std::shared_ptr<Network> make_lightweight(const NetworkShape& shape) {
  return std::make_shared<InterlayerTransformer>(shape, Widths{256, 8, 1024, 4});
}
std::shared_ptr<Network> make_light_2m(const NetworkShape& shape) {
  return std::make_shared<InterlayerTransformer>(shape, Widths{192, 6, 768, 3});
}

}  // namespace specmoe
