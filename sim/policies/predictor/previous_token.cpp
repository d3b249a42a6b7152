// What each sequence's token before used in the coming layer. In prefill, the last token of the chunk before.
#include <algorithm>
#include <map>

#include "sim/policies/predictor.hpp"

namespace specmoe {
namespace {

class PreviousToken : public Predictor {
 public:
  explicit PreviousToken(const PredictorContext& context)
      : context_(context), named_(static_cast<std::size_t>(context.experts)) {}

  void observe(const StepRouting& step, int layer) override {
    if (layer == step.first_layer)
      std::erase_if(rows_, [&](const auto& row) {
        return !step.requests.empty() &&
               std::find(step.requests.begin(), step.requests.end(), row.first) == step.requests.end();
      });
    for (std::int64_t token = 0; token < step.tokens; ++token) {
      if (token + 1 < step.tokens && step.request_of(token + 1) == step.request_of(token)) continue;
      auto& row = rows_[step.request_of(token)];
      row.resize(static_cast<std::size_t>(context_.layers * context_.top_k), -1);
      const auto experts = step.at(token, layer);
      std::copy(experts.begin(), experts.end(), row.begin() + layer * context_.top_k);
    }
  }
  void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, next, layer, distance);
    if (!target) return;
    std::fill(named_.begin(), named_.end(), false);
    const StepRouting& there = *target->step;
    for (std::int64_t token = 0; token < there.tokens; ++token) {
      if (token > 0 && there.request_of(token) == there.request_of(token - 1)) continue;
      const auto row = rows_.find(there.request_of(token));
      if (row == rows_.end()) continue;
      for (int rank = 0; rank < context_.top_k; ++rank) {
        const std::int16_t expert =
            row->second[static_cast<std::size_t>(target->layer * context_.top_k + rank)];
        if (expert < 0 || named_[static_cast<std::size_t>(expert)]) continue;
        named_[static_cast<std::size_t>(expert)] = true;
        out.push_back({target->layer, expert});
      }
    }
  }

 private:
  PredictorContext context_;
  std::map<std::int64_t, std::vector<std::int16_t>> rows_;  // by request: [layer, rank] as seen last
  std::vector<bool> named_;
};

}  // namespace

std::unique_ptr<Predictor> make_previous_token(const PredictorContext& context) {
  return std::make_unique<PreviousToken>(context);
}

}  // namespace specmoe
