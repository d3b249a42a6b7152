#include "sim/networks/validation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace specmoe {
namespace {

using torch::Tensor;

constexpr std::int64_t kBins = 400;
constexpr double kLowest = -20;  // of the log-softmax; what is lower counts as this

// a and b of 1 / (1 + exp(-(a z + b))) by Newton's method, from counts of guesses and of right ones in bins of z.
std::pair<double, double> fit_platt(const Tensor& guesses, const Tensor& right) {
  const auto count = guesses.accessor<double, 1>(), hits = right.accessor<double, 1>();
  double a = 1, b = 0;
  for (int round = 0; round < 50; ++round) {
    // A trace of ridge keeps the equations solvable where all guesses are alike.
    double ga = -1e-6 * (a - 1), gb = -1e-6 * b, haa = 1e-6, hab = 0, hbb = 1e-6;
    for (std::int64_t i = 0; i < kBins; ++i) {
      if (count[i] == 0) continue;
      const double z = kLowest * (1 - (static_cast<double>(i) + 0.5) / kBins);
      const double p = 1 / (1 + std::exp(-(a * z + b)));
      const double off = hits[i] - count[i] * p, w = count[i] * p * (1 - p);
      ga += off * z;
      gb += off;
      haa += w * z * z;
      hab += w * z;
      hbb += w;
    }
    const double determinant = haa * hbb - hab * hab;
    if (!(determinant > 0)) break;
    const double da = std::clamp((hbb * ga - hab * gb) / determinant, -1.0, 1.0);
    const double db = std::clamp((haa * gb - hab * ga) / determinant, -2.0, 2.0);
    a += da;
    b += db;
    if (std::abs(da) + std::abs(db) < 1e-9) break;
  }
  return {a, b};
}

}  // namespace

Validation validate_network(Network& network, const Batches& batches, std::span<const Piece> pieces,
                            std::int64_t batch_size) {
  torch::NoGradGuard guard;
  network.eval();
  const NetworkShape& shape = batches.shape();
  std::vector<std::int64_t> layers(static_cast<std::size_t>(shape.layers));
  std::iota(layers.begin(), layers.end(), 0);
  const Tensor none = torch::zeros({shape.distances}, torch::kDouble);
  Tensor losses = none, hits = none, rows = none, of = none;
  Tensor guesses = torch::zeros({shape.distances * kBins}, torch::kDouble), right = guesses;

  for (std::size_t i = 0; i < pieces.size(); i += static_cast<std::size_t>(batch_size)) {
    const Batch batch =
        batches.make(pieces.subspan(i, std::min(static_cast<std::size_t>(batch_size), pieces.size() - i)));
    const Targets targets = targets_of(batch, layers, shape, true);
    const Tensor z = network.forward(batch, layers).log_softmax(-1);  // [B, T, L, D, E]
    const Tensor valid = targets.valid.to(z.scalar_type()), truth = targets.truth * valid.unsqueeze(-1);
    const Tensor count = truth.sum(-1);
    const auto total = [](const Tensor& x) { return x.to(torch::kDouble).sum({0, 1, 2}).cpu(); };
    losses = losses + total(-(truth * z).sum(-1) / count.clamp_min(1));
    hits = hits + total(truth.gather(-1, std::get<1>(z.topk(shape.top_k, -1))).sum(-1));
    of = of + total(count);
    rows = rows + total(valid);

    const Tensor bin = ((1 - z.clamp_min(kLowest) / kLowest) * kBins).to(torch::kLong).clamp(0, kBins - 1) +
                       torch::arange(shape.distances, torch::TensorOptions(torch::kLong).device(z.device()))
                               .view({1, 1, 1, -1, 1}) *
                           kBins;
    const auto spread = [&](const Tensor& weights) {
      return torch::bincount(bin.flatten(), weights.flatten(), shape.distances * kBins)
          .to(torch::kDouble)
          .cpu();
    };
    guesses = guesses + spread(valid.unsqueeze(-1).expand_as(z).to(torch::kDouble));
    right = right + spread(truth.to(torch::kDouble));
  }

  Validation out;
  out.loss = losses.sum().item<double>() / std::max(1.0, rows.sum().item<double>());
  for (std::int64_t d = 0; d < shape.distances; ++d) {
    out.recall.push_back(hits[d].item<double>() / std::max(1.0, of[d].item<double>()));
    out.calibration.push_back(fit_platt(guesses.narrow(0, d * kBins, kBins).contiguous(),
                                        right.narrow(0, d * kBins, kBins).contiguous()));
  }
  return out;
}

}  // namespace specmoe
