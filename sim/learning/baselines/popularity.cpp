// The share of tokens that chose an expert in the layer.
#include "sim/learning/baselines/shares.hpp"

namespace specmoe {
namespace {

class PopularityGuesser : public Guesser {
 public:
  std::string name() const override { return "popularity"; }
  bool gives_probabilities() const override { return true; }
  void fit(const LearningData& data, std::span<const int> train, std::span<const int>) override {
    popularity_.fit(data, train);
  }
  void score(const LearningData& data, int request, std::vector<float>& scores) override {
    each_guess(data, request, scores, [&](std::int64_t, int, int, TargetLayer target, std::span<float> out) {
      std::ranges::copy(popularity_.of(target.layer), out.begin());
    });
  }

 private:
  Popularity popularity_;
};

}  // namespace

std::unique_ptr<Guesser> make_popularity_guesser(std::uint64_t) {
  return std::make_unique<PopularityGuesser>();
}

}  // namespace specmoe
