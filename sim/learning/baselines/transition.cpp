// The mean, over the present layer's experts, of the shares of tokens at them that went on to an expert of the target
// layer: P(to | from). Where gate weights are recorded, an expert counts by its weight, learnt from and asked.
#include "sim/learning/baselines/shares.hpp"

namespace specmoe {
namespace {

class Transition : public Guesser {
 public:
  std::string name() const override { return "transition"; }
  bool gives_probabilities() const override { return true; }
  void fit(const LearningData& data, std::span<const int> train, std::span<const int>) override {
    popularity_.fit(data, train);
    const auto n = static_cast<std::size_t>(data.experts);
    tables_.assign(static_cast<std::size_t>(data.layers * kDistances) * n * n, 0.0F);
    for (int layer = 0; layer < data.layers; ++layer)
      for (int distance = 1; distance <= kDistances; ++distance) {
        const TargetLayer target = target_layer(data.layers, layer, distance);
        if (target.layer < 0) continue;
        float* table = table_of(layer, distance, n);
        std::vector<double> seen(n), went(n * n);
        for (const int r : train) {
          const auto& request = data.requests.at(static_cast<std::size_t>(r));
          for (std::int64_t row = request.first_row; row + target.next_row < request.first_row + request.rows;
               ++row)
            each_present(data, row, layer, [&](std::size_t from, float weight) {
              seen[from] += weight;
              for (const std::int16_t to : data.chosen_at(row + target.next_row, target.layer))
                if (to >= 0) went[from * n + static_cast<std::size_t>(to)] += weight;
            });
        }
        const auto popular = popularity_.of(target.layer);
        for (std::size_t from = 0; from < n; ++from)
          for (std::size_t to = 0; to < n; ++to)
            table[from * n + to] = static_cast<float>((went[from * n + to] + popular[to]) / (seen[from] + 1));
      }
  }
  void score(const LearningData& data, int request, std::vector<float>& scores) override {
    const auto n = static_cast<std::size_t>(data.experts);
    const std::int64_t first = data.requests[static_cast<std::size_t>(request)].first_row;
    each_guess(data, request, scores,
               [&](std::int64_t row, int layer, int distance, TargetLayer target, std::span<float> out) {
                 const float* table = table_of(layer, distance, n);
                 float present = 0;
                 each_present(data, first + row, layer, [&](std::size_t from, float weight) {
                   present += weight;
                   const float* shares = table + from * n;
                   for (std::size_t to = 0; to < n; ++to) out[to] += weight * shares[to];
                 });
                 if (present == 0)
                   std::ranges::copy(popularity_.of(target.layer), out.begin());
                 else
                   for (float& score : out) score /= present;
               });
  }

 private:
  template <class Visit>
  static void each_present(const LearningData& data, std::int64_t row, int layer, const Visit& visit) {
    const auto chosen = data.chosen_at(row, layer);
    const auto weights = data.weights_at(row, layer);
    for (std::size_t rank = 0; rank < chosen.size(); ++rank)
      if (chosen[rank] >= 0)
        visit(static_cast<std::size_t>(chosen[rank]),
              weights.empty() ? 1.0F : std::max(weights[rank], 1e-6F));
  }
  float* table_of(int layer, int distance, std::size_t n) {
    return &tables_[static_cast<std::size_t>(layer * kDistances + distance - 1) * n * n];
  }

  Popularity popularity_;
  std::vector<float>
      tables_;  // [layer, distance - 1, from, to]; a pair never seen has the popularity of `to`
};

}  // namespace

std::unique_ptr<Guesser> make_transition_guesser(std::uint64_t) { return std::make_unique<Transition>(); }

}  // namespace specmoe
