// What tokens of the same id used in the target layer, with the popular experts counted as kPrior tokens more. The next
// token's id is not known: for its layers it is popularity.
#include <unordered_map>

#include "sim/learning/baselines/shares.hpp"

namespace specmoe {
namespace {

constexpr float kPrior = 1;

class TokenId : public Guesser {
 public:
  std::string name() const override { return "token-id"; }
  bool gives_probabilities() const override { return true; }
  void fit(const LearningData& data, std::span<const int> train, std::span<const int>) override {
    popularity_.fit(data, train);
    tables_.clear();
    if (!data.has_token_ids) return;
    each_row(data, train, [&](std::int64_t row) {
      const std::int32_t id = data.token_ids[static_cast<std::size_t>(row)];
      if (id < 0) return;
      Table& table = tables_[id];
      table.counts.resize(static_cast<std::size_t>(data.layers * data.experts));
      ++table.rows;
      for (int layer = 0; layer < data.layers; ++layer)
        for (const std::int16_t e : data.chosen_at(row, layer))
          if (e >= 0) ++table.counts[static_cast<std::size_t>(layer * data.experts + e)];
    });
  }
  void score(const LearningData& data, int request, std::vector<float>& scores) override {
    const std::int64_t first = data.requests[static_cast<std::size_t>(request)].first_row;
    const Table* table = nullptr;
    std::int64_t of_row = -1;
    each_guess(
        data, request, scores, [&](std::int64_t row, int, int, TargetLayer target, std::span<float> out) {
          std::ranges::copy(popularity_.of(target.layer), out.begin());
          if (target.next_row || !data.has_token_ids) return;
          if (row != of_row) {
            of_row = row;
            const auto found = tables_.find(data.token_ids[static_cast<std::size_t>(first + row)]);
            table = found == tables_.end() ? nullptr : &found->second;
          }
          if (!table) return;
          const float rows = static_cast<float>(table->rows) + kPrior;
          const std::uint32_t* counts = &table->counts[static_cast<std::size_t>(target.layer * data.experts)];
          for (std::size_t e = 0; e < out.size(); ++e)
            out[e] = (static_cast<float>(counts[e]) + kPrior * out[e]) / rows;
        });
  }

 private:
  struct Table {
    std::int64_t rows = 0;
    std::vector<std::uint32_t> counts;  // [layer, expert]
  };
  Popularity popularity_;
  std::unordered_map<std::int32_t, Table> tables_;  // of ids that were learnt from
};

}  // namespace

std::unique_ptr<Guesser> make_token_id_guesser(std::uint64_t) { return std::make_unique<TokenId>(); }

}  // namespace specmoe
