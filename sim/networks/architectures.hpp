// Networks that guess the experts of coming layers. An architecture is one file: a class in an anonymous namespace and one
// make_ function, listed in the table of architectures.cpp. Inside this room only: it is LibTorch all through.
#pragma once
#include <torch/torch.h>

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "sim/networks/networks.hpp"

namespace specmoe {

/// Pieces of requests, side by side, B of T tokens; shorter ones are padded at the end.
struct Batch {
  torch::Tensor chosen;   // float [B, T, L, E]: 1 where the token chose the expert
  torch::Tensor weights;  // float [B, T, L, E]: gate weights, which sum to 1 over a layer's experts
  torch::Tensor tokens;   // int64 [B, T]; `vocabulary` where padded or not recorded
  torch::Tensor hidden;   // float [B, T, L, width], undefined without hidden states

  std::int64_t pieces() const { return chosen.size(0); }
  std::int64_t length() const { return chosen.size(1); }
};

/// What an architecture's file makes: a network that guesses experts of coming layers.
class Network : public torch::nn::Module {
 public:
  /// Logits [B, T, layer, distance - 1, E] of the experts of the layer `distance` after each of `layers`, from what is
  /// known when a token has been routed in that layer: the routing of earlier tokens, of the token's own layers up to
  /// it, and token ids up to the token's own. Of the next token's first layers where the last layer is passed.
  virtual torch::Tensor forward(const Batch& batch, const std::vector<std::int64_t>& layers) = 0;
  /// What a token costs while decoding, keys and states of earlier tokens being kept.
  virtual PredictorNetwork cost() const = 0;
};

/// A kind of network, with what it is trained with unless told otherwise.
struct Architecture {
  NetworkKind kind;
  std::shared_ptr<Network> (*make)(const NetworkShape&);
  /// Tokens of a request that it sees at most, sequences a batch, source layers drawn for each batch (0 for all), and
  /// the highest learning rate.
  std::int64_t context, batch, layers;
  double learning_rate, weight_decay;
};

std::span<const Architecture> architectures();
/// @throws InputError naming those there are.
const Architecture& find_architecture(std::string_view name);
std::int64_t count_parameters(const Network& network);
/// Its cost, with its parameters and this name.
PredictorNetwork describe(const Network& network, std::string_view name);
std::vector<std::int64_t> all_layers(const NetworkShape& shape);

/// Of each layer, those of the `back` layers that end with it, by the token itself: [B, T, |layers|, back * E]; zeros
/// before the first layer.
torch::Tensor layers_up_to(const torch::Tensor& routing, const std::vector<std::int64_t>& layers,
                           std::int64_t back);
/// By the token before, of the layers 1 .. distances after each, past the last one by the token itself: [B, T, |layers|,
/// distances * E]; zeros for the first token.
torch::Tensor token_before(const torch::Tensor& routing, const std::vector<std::int64_t>& layers,
                           std::int64_t distances);
/// Of the layers 1 .. distances after each, the next token's past the last layer: [B, T, |layers|, distances, E]; what
/// is to be guessed.
torch::Tensor layers_ahead(const torch::Tensor& routing, const std::vector<std::int64_t>& layers,
                           std::int64_t distances);

/// Of logits [..., E]: log(q / (1 - q)) of q, the expert's share times top_k. Trained against shares of 1 / top_k, q is the
/// chance that the expert is chosen, up to calibration.
torch::Tensor log_odds(const torch::Tensor& logits, std::int64_t top_k);

}  // namespace specmoe
