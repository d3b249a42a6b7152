#include "sim/networks/validation.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace specmoe {
namespace {

using torch::Tensor;

constexpr std::int64_t kBins = 400;
constexpr double kWidest = 20;  // of the log odds; what is beyond counts as this

// Guesses, and right ones, by their log odds.
struct Histogram {
  std::vector<double> z, guesses, right;

  double likelihood(double a, double b) const {
    double sum = 0;
    for (std::size_t i = 0; i < z.size(); ++i) {
      const double t = a * z[i] + b;  // log(1 + exp(t)) without overflow
      sum += right[i] * t - guesses[i] * (std::max(t, 0.0) + std::log1p(std::exp(-std::abs(t))));
    }
    return sum;
  }
};

// a and b of 1 / (1 + exp(-(a z + b))), the likeliest, by Newton's method with halved steps where it overshoots.
std::pair<double, double> fit_platt(const Histogram& h) {
  double a = 1, b = 0, best = h.likelihood(a, b);
  for (int round = 0; round < 50; ++round) {
    double ga = 0, gb = 0, haa = 1e-6, hab = 0, hbb = 1e-6;
    for (std::size_t i = 0; i < h.z.size(); ++i) {
      const double p = 1 / (1 + std::exp(-(a * h.z[i] + b)));
      const double off = h.right[i] - h.guesses[i] * p, w = h.guesses[i] * p * (1 - p);
      ga += off * h.z[i];
      gb += off;
      haa += w * h.z[i] * h.z[i];
      hab += w * h.z[i];
      hbb += w;
    }
    const double determinant = haa * hbb - hab * hab;
    const double da = (hbb * ga - hab * gb) / determinant, db = (haa * gb - hab * ga) / determinant;
    double share = 1;
    while (share > 1e-6 && !(h.likelihood(a + share * da, b + share * db) > best)) share /= 2;
    if (share <= 1e-6) break;
    a += share * da;
    b += share * db;
    const double before = std::exchange(best, h.likelihood(a, b));
    if (best - before < 1e-9 * std::abs(best)) break;
  }
  return {a, b};
}

}  // namespace

Validation validate_network(Network& network, const Batches& batches, std::span<const Piece> pieces,
                            std::int64_t batch_size) {
  torch::NoGradGuard guard;
  network.eval();
  const NetworkShape& shape = batches.shape();
  const std::vector<std::int64_t> layers = all_layers(shape);
  const Tensor none = torch::zeros({shape.distances}, torch::kDouble);
  Tensor losses = none, hits = none, rows = none, of = none;
  Tensor guesses = torch::zeros({shape.distances * kBins}, torch::kDouble), right = guesses;

  for (std::size_t i = 0; i < pieces.size(); i += static_cast<std::size_t>(batch_size)) {
    const Batch batch =
        batches.make(pieces.subspan(i, std::min(static_cast<std::size_t>(batch_size), pieces.size() - i)));
    const Targets targets = targets_of(batch, layers, shape, true);
    const Tensor logits = network.forward(batch, layers), z = logits.log_softmax(-1);  // [B, T, L, D, E]
    const Tensor valid = targets.valid.to(z.scalar_type()), truth = targets.truth * valid.unsqueeze(-1);
    const Tensor count = truth.sum(-1);
    const auto total = [](const Tensor& x) { return x.to(torch::kDouble).sum({0, 1, 2}).cpu(); };
    losses = losses + total(-(truth * z).sum(-1) / count.clamp_min(1));
    hits = hits + total(truth.gather(-1, std::get<1>(z.topk(shape.top_k, -1))).sum(-1));
    of = of + total(count);
    rows = rows + total(valid);

    const Tensor bin =
        ((log_odds(logits, shape.top_k) / kWidest + 1) * (kBins / 2.0)).to(torch::kLong).clamp(0, kBins - 1) +
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
    Histogram h;
    for (std::int64_t i = 0; i < kBins; ++i)
      if (const double count = guesses[d * kBins + i].item<double>(); count > 0) {
        h.z.push_back(kWidest * (2 * (static_cast<double>(i) + 0.5) / kBins - 1));
        h.guesses.push_back(count);
        h.right.push_back(right[d * kBins + i].item<double>());
      }
    out.calibration.push_back(fit_platt(h));
  }
  return out;
}

}  // namespace specmoe
