// Any experts: top_k / experts of them are right.
#include "sim/base/random.hpp"
#include "sim/learning/baselines/shares.hpp"

namespace specmoe {
namespace {

class Uniform : public Guesser {
 public:
  explicit Uniform(std::uint64_t seed) : seed_(seed) {}
  std::string name() const override { return "uniform"; }
  void fit(const LearningData&, std::span<const int>, std::span<const int>) override {}
  bool gives_probabilities() const override { return true; }
  void score(const LearningData& data, int request, std::vector<float>& scores) override {
    auto random = Random::stream(seed_, "uniform guesser", static_cast<std::uint64_t>(request));
    const float share = static_cast<float>(data.top_k) / static_cast<float>(data.experts);
    each_guess(data, request, scores, [&](std::int64_t, int, int, TargetLayer, std::span<float> out) {
      // Equal up to a thousandth that breaks the ties.
      for (float& score : out) score = share * (1 + 1e-3F * static_cast<float>(random.uniform()));
    });
  }

 private:
  std::uint64_t seed_;
};

}  // namespace

std::unique_ptr<Guesser> make_uniform_guesser(std::uint64_t seed) { return std::make_unique<Uniform>(seed); }

}  // namespace specmoe
