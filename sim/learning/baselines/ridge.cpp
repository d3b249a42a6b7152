// Ridge regression: an expert is chosen as a linear function of which experts the last four layers chose, in this token
// and in the one before, and of which the last known token chose in the target layer. One regression a pair of layer and
// distance.
#include <array>

#include "sim/base/linear.hpp"
#include "sim/learning/baselines/shares.hpp"

namespace specmoe {
namespace {

constexpr int kLayersBack = 4;
constexpr int kBlocks = 2 * kLayersBack + 1;
constexpr std::array kLambdas{1.0, 10.0,
                              100.0};  // the validation requests choose; without them the middle one

class Ridge : public Guesser {
 public:
  std::string name() const override { return "ridge"; }
  bool gives_probabilities() const override { return true; }

  void fit(const LearningData& data, std::span<const int> train, std::span<const int> validation) override {
    experts_ = static_cast<std::size_t>(data.experts);
    features_ = kBlocks * experts_ + 1;
    weights_.assign(static_cast<std::size_t>(data.layers * kDistances) * features_ * experts_, 0.0F);
    for (int layer = 0; layer < data.layers; ++layer)
      for (int distance = 1; distance <= kDistances; ++distance)
        fit_one(data, train, validation, layer, distance);
  }

  void score(const LearningData& data, int request, std::vector<float>& scores) override {
    const auto& of = data.requests[static_cast<std::size_t>(request)];
    std::vector<std::size_t> on;
    each_guess(data, request, scores,
               [&](std::int64_t row, int layer, int distance, TargetLayer target, std::span<float> out) {
                 describe(data, of, row, layer, target, on);
                 add_up(weights_of(layer, distance), on, out);
               });
  }

 private:
  // Indices of the features that are 1, ascending within a block of experts; the last is always 1.
  void describe(const LearningData& data, const LearningData::Request& request, std::int64_t row, int layer,
                const TargetLayer& target, std::vector<std::size_t>& on) const {
    on.clear();
    const auto add = [&](int block, std::int64_t of_row, int of_layer) {
      if (of_row < 0 || of_layer < 0) return;
      for (const std::int16_t e : data.chosen_at(request.first_row + of_row, of_layer))
        if (e >= 0) on.push_back(static_cast<std::size_t>(block) * experts_ + static_cast<std::size_t>(e));
    };
    for (int back = 0; back < kLayersBack; ++back) {
      add(back, row, layer - back);
      add(kLayersBack + back, row - 1, layer - back);
    }
    add(2 * kLayersBack, row - (target.layer > layer), target.layer);
    on.push_back(features_ - 1);
  }

  template <class Number>
  void add_up(const Number* weights, const std::vector<std::size_t>& on, std::span<float> out) const {
    for (const std::size_t i : on) {
      const Number* row = weights + i * experts_;
      for (std::size_t e = 0; e < experts_; ++e) out[e] += static_cast<float>(row[e]);
    }
  }

  template <class Visit>
  void each_example(const LearningData& data, std::span<const int> requests, int layer,
                    const TargetLayer& target, const Visit& visit) const {
    std::vector<std::size_t> on;
    for (const int r : requests) {
      const auto& request = data.requests.at(static_cast<std::size_t>(r));
      for (std::int64_t row = 0; row + target.next_row < request.rows; ++row) {
        describe(data, request, row, layer, target, on);
        visit(on, data.chosen_at(request.first_row + row + target.next_row, target.layer));
      }
    }
  }

  void fit_one(const LearningData& data, std::span<const int> train, std::span<const int> validation,
               int layer, int distance) {
    const TargetLayer target = target_layer(data.layers, layer, distance);
    if (target.layer < 0) return;
    // Counts of pairs: most features are 0, so no dense products. The lower triangle; below 2^24 floats count exactly.
    std::vector<float> pairs(features_ * features_), hits(features_ * experts_);
    each_example(data, train, layer, target,
                 [&](std::vector<std::size_t>& on, std::span<const std::int16_t> truth) {
                   std::sort(on.begin(), on.end());
                   for (std::size_t i = 0; i < on.size(); ++i) {
                     float* row = &pairs[on[i] * features_];
                     for (std::size_t j = 0; j <= i; ++j) row[on[j]] += 1;
                     for (const std::int16_t e : truth)
                       if (e >= 0) hits[on[i] * experts_ + static_cast<std::size_t>(e)] += 1;
                   }
                 });
    std::int64_t most = -1;
    std::vector<float> best;
    for (const double lambda : kLambdas) {
      if (validation.empty() && lambda != kLambdas[kLambdas.size() / 2]) continue;
      std::vector<double> normal(pairs.begin(), pairs.end()), solution(hits.begin(), hits.end());
      for (std::size_t i = 0; i < features_; ++i)
        normal[i * features_ + i] += i + 1 < features_ ? lambda : 1e-3;
      solve_symmetric(normal, solution, features_, experts_);
      std::vector<float> weights(solution.begin(), solution.end());
      const std::int64_t right = count_right(data, validation, layer, target, weights);
      if (right > most) {
        most = right;
        best = std::move(weights);
      }
    }
    std::ranges::copy(best, weights_.begin() + (weights_of(layer, distance) - weights_.data()));
  }

  // True experts among as many with the highest scores.
  std::int64_t count_right(const LearningData& data, std::span<const int> requests, int layer,
                           const TargetLayer& target, const std::vector<float>& weights) const {
    std::int64_t right = 0;
    std::vector<float> scores(experts_), sorted;
    each_example(data, requests, layer, target,
                 [&](const std::vector<std::size_t>& on, std::span<const std::int16_t> truth) {
                   std::ranges::fill(scores, 0.0F);
                   add_up(weights.data(), on, scores);
                   sorted = scores;
                   const auto last = sorted.begin() + data.top_k - 1;
                   std::nth_element(sorted.begin(), last, sorted.end(), std::greater<>());
                   for (const std::int16_t e : truth)
                     right += e >= 0 && scores[static_cast<std::size_t>(e)] >= *last;
                 });
    return right;
  }

  const float* weights_of(int layer, int distance) const {
    return &weights_[static_cast<std::size_t>(layer * kDistances + distance - 1) * features_ * experts_];
  }

  std::size_t experts_ = 0, features_ = 0;
  std::vector<float> weights_;  // [layer, distance - 1, feature, expert]
};

}  // namespace

std::unique_ptr<Guesser> make_ridge_guesser(std::uint64_t) { return std::make_unique<Ridge>(); }

}  // namespace specmoe
