#include "sim/networks/architectures.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>

#include "sim/base/input_error.hpp"

namespace specmoe {

std::shared_ptr<Network> make_dense(const NetworkShape&);
std::shared_ptr<Network> make_enhanced(const NetworkShape&);
std::shared_ptr<Network> make_lightweight(const NetworkShape&);
std::shared_ptr<Network> make_light_2m(const NetworkShape&);
std::shared_ptr<Network> make_per_layer_mlp(const NetworkShape&);
std::shared_ptr<Network> make_linear_probe(const NetworkShape&);
std::shared_ptr<Network> make_recurrent(const NetworkShape&);
std::shared_ptr<Network> make_masked(const NetworkShape&);

std::span<const Architecture> architectures() {
  static constexpr std::array all{
      Architecture{
          .kind = {"dense", "causal transformer over the experts of the last three layers, width 320",
                   "the seed's 8.4M"},
          .make = make_dense,
          .context = 128,
          .batch = 16,
          .layers = 6,
          .learning_rate = 3e-4,
          .weight_decay = 0.012},
      Architecture{.kind = {"enhanced", "the same, width 512", "the seed's 24.5M"},
                   .make = make_enhanced,
                   .context = 128,
                   .batch = 16,
                   .layers = 6,
                   .learning_rate = 2e-4,
                   .weight_decay = 0.012},
      Architecture{
          .kind = {"lightweight", "the same, width 256", "the seed's lightweight, which has 4.6M parameters"},
          .make = make_lightweight,
          .context = 64,
          .batch = 8,
          .layers = 4,
          .learning_rate = 4e-4,
          .weight_decay = 0.012},
      Architecture{
          .kind = {"light-2m", "the same, width 192: the 2.1M that the seed's lightweight is said to have",
                   "the seed"},
          .make = make_light_2m,
          .context = 64,
          .batch = 8,
          .layers = 4,
          .learning_rate = 6e-4,
          .weight_decay = 0.012},
      Architecture{
          .kind = {"mlp", "a perceptron a layer, of four layers, the token before and the token's id",
                   "ProMoE (2410.22134)"},
          .make = make_per_layer_mlp,
          .context = 512,
          .batch = 8,
          .layers = 0,
          .learning_rate = 1e-3,
          .weight_decay = 0.05},
      Architecture{.kind = {"probe", "a linear map a layer, of the recorded hidden state",
                            "mixtral-offloading (2312.17238), learnt", true},
                   .make = make_linear_probe,
                   .context = 512,
                   .batch = 8,
                   .layers = 0,
                   .learning_rate = 1e-3,
                   .weight_decay = 0.01},
      Architecture{.kind = {"gru", "a recurrent unit over tokens, a perceptron a layer", "Cho et al. 2014"},
                   .make = make_recurrent,
                   .context = 512,
                   .batch = 8,
                   .layers = 0,
                   .learning_rate = 1e-3,
                   .weight_decay = 0.05},
      Architecture{
          .kind = {"masked", "one perceptron over all layers so far, a head a layer; two tokens back",
                   "SpecMoE's own"},
          .make = make_masked,
          .context = 128,
          .batch = 32,
          .layers = 0,
          .learning_rate = 1.5e-3,
          .weight_decay = 0.05},
  };
  return all;
}

const Architecture& find_architecture(std::string_view name) {
  const auto all = architectures();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Architecture& a) { return a.kind.name == name; });
  if (found != all.end()) return *found;
  std::vector<std::string_view> names;
  for (const Architecture& a : all) names.push_back(a.kind.name);
  throw InputError("--architecture", 0, fmt::format("\"{}\"", name),
                   fmt::format("one of {}", fmt::join(names, ", ")));
}

std::vector<NetworkKind> network_kinds() {
  std::vector<NetworkKind> kinds;
  for (const Architecture& a : architectures()) kinds.push_back(a.kind);
  return kinds;
}

std::int64_t count_parameters(const Network& network) {
  std::int64_t count = 0;
  for (const auto& parameter : network.parameters()) count += parameter.numel();
  return count;
}

PredictorNetwork describe(const Network& network, std::string_view name) {
  PredictorNetwork cost = network.cost();
  cost.name = name;
  cost.parameters = count_parameters(network);
  return cost;
}

PredictorNetwork describe_network(std::string_view name, const NetworkShape& shape) {
  return describe(*find_architecture(name).make(shape), name);
}

std::vector<std::int64_t> all_layers(const NetworkShape& shape) {
  std::vector<std::int64_t> layers(static_cast<std::size_t>(shape.layers));
  std::iota(layers.begin(), layers.end(), 0);
  return layers;
}

}  // namespace specmoe
