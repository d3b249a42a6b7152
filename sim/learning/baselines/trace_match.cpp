// The finished request whose counts of experts by layer are most like those of this one so far (cosine), and what it used
// most in the target layer. Matched once a row, on the rows before.
#include <cmath>
#include <numeric>

#include "sim/base/random.hpp"
#include "sim/learning/baselines/shares.hpp"

namespace specmoe {
namespace {

constexpr std::size_t kMatrices = 600;  // at most kept; a seeded choice

class TraceMatch : public Guesser {
 public:
  explicit TraceMatch(std::uint64_t seed) : seed_(seed) {}
  std::string name() const override { return "trace-match"; }
  bool gives_probabilities() const override { return true; }
  void fit(const LearningData& data, std::span<const int> train, std::span<const int>) override {
    popularity_.fit(data, train);
    std::vector<int> kept(train.begin(), train.end());
    auto random = Random::stream(seed_, "trace match");
    for (std::size_t i = kept.size(); i > 1; --i) std::swap(kept[i - 1], kept[random.below(i)]);
    kept.resize(std::min(kept.size(), kMatrices));
    matrices_ = kept.size();
    const auto size = static_cast<std::size_t>(data.layers * data.experts);
    shares_.assign(matrices_ * size, 0.0F);
    unit_.assign(size * matrices_, 0.0F);
    for (std::size_t m = 0; m < matrices_; ++m) {
      const auto matrix = std::span(shares_).subspan(m * size, size);
      each_row(data, std::span(&kept[m], 1),
               [&](std::int64_t row) { each_cell(data, row, [&](std::size_t cell) { matrix[cell] += 1; }); });
      double norm = 0;
      for (const float count : matrix) norm += double{count} * count;
      const auto rows = static_cast<float>(data.requests[static_cast<std::size_t>(kept[m])].rows);
      for (std::size_t cell = 0; cell < size; ++cell) {
        if (norm > 0) unit_[cell * matrices_ + m] = static_cast<float>(matrix[cell] / std::sqrt(norm));
        matrix[cell] /= rows;
      }
    }
  }
  void score(const LearningData& data, int request, std::vector<float>& scores) override {
    const std::int64_t first = data.requests[static_cast<std::size_t>(request)].first_row;
    const auto size = static_cast<std::size_t>(data.layers * data.experts);
    // This request's own norm is the same for all, so the largest product is the largest cosine.
    std::vector<float> product(matrices_);
    std::int64_t of_row = 0;
    std::size_t best = 0;
    each_guess(data, request, scores,
               [&](std::int64_t row, int, int, TargetLayer target, std::span<float> out) {
                 if (row != of_row) {
                   each_cell(data, first + of_row, [&](std::size_t cell) {
                     const float* column = &unit_[cell * matrices_];
                     for (std::size_t m = 0; m < matrices_; ++m) product[m] += column[m];
                   });
                   of_row = row;
                   best = static_cast<std::size_t>(std::ranges::max_element(product) - product.begin());
                 }
                 const auto popular = popularity_.of(target.layer);
                 if (row == 0 || matrices_ == 0) {
                   std::ranges::copy(popular, out.begin());
                   return;
                 }
                 const float* matched =
                     &shares_[best * size + static_cast<std::size_t>(target.layer * data.experts)];
                 // What it never used, by popularity.
                 for (std::size_t e = 0; e < out.size(); ++e) out[e] = matched[e] + 1e-4F * popular[e];
               });
  }

 private:
  template <class Visit>
  static void each_cell(const LearningData& data, std::int64_t row, const Visit& visit) {
    for (int layer = 0; layer < data.layers; ++layer)
      for (const std::int16_t e : data.chosen_at(row, layer))
        if (e >= 0) visit(static_cast<std::size_t>(layer * data.experts + e));
  }

  std::uint64_t seed_;
  Popularity popularity_;
  std::size_t matrices_ = 0;
  std::vector<float> shares_;  // [matrix, layer, expert]
  std::vector<float> unit_;    // [layer, expert, matrix]: of length 1
};

}  // namespace

std::unique_ptr<Guesser> make_trace_match_guesser(std::uint64_t seed) {
  return std::make_unique<TraceMatch>(seed);
}

}  // namespace specmoe
