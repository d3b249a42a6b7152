// What the last token whose routing in the target layer is known used there, by gate weight where it is recorded, else by
// rank; then by popularity. For the next token's layers that is the present token.
#include "sim/learning/baselines/shares.hpp"

namespace specmoe {
namespace {

class PreviousToken : public Guesser {
 public:
  std::string name() const override { return "previous-token"; }
  void fit(const LearningData& data, std::span<const int> train, std::span<const int>) override {
    popularity_.fit(data, train);
  }
  void score(const LearningData& data, int request, std::vector<float>& scores) override {
    const std::int64_t first = data.requests[static_cast<std::size_t>(request)].first_row;
    each_guess(data, request, scores,
               [&](std::int64_t row, int layer, int, TargetLayer target, std::span<float> out) {
                 std::ranges::copy(popularity_.of(target.layer), out.begin());
                 const std::int64_t known = row - (target.layer > layer);
                 if (known < 0) return;
                 const auto chosen = data.chosen_at(first + known, target.layer);
                 const auto weights = data.weights_at(first + known, target.layer);
                 for (std::size_t rank = 0; rank < chosen.size(); ++rank)
                   if (chosen[rank] >= 0)  // above every popularity
                     out[static_cast<std::size_t>(chosen[rank])] =
                         weights.empty() ? 2.0F - static_cast<float>(rank) / static_cast<float>(chosen.size())
                                         : 1.0F + std::max(weights[rank], 0.0F) + 1e-6F;
               });
  }

 private:
  Popularity popularity_;
};

}  // namespace

std::unique_ptr<Guesser> make_previous_token_guesser(std::uint64_t) {
  return std::make_unique<PreviousToken>();
}

}  // namespace specmoe
