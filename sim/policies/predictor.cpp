#include "sim/policies/predictor.hpp"

#include <array>

namespace specmoe {

std::unique_ptr<Predictor> make_popularity(const PredictorContext&);
std::unique_ptr<Predictor> make_gate(const PredictorContext&);
std::unique_ptr<Predictor> make_oracle(const PredictorContext&);

std::span<const PredictorKind> predictor_kinds() {
  static constexpr std::array kinds{
      PredictorKind{.name = "none", .summary = "no prefetch", .source = "", .maker = nullptr},
      PredictorKind{.name = "popularity",
                    .summary = "the most popular experts of the coming layers",
                    .source = "",
                    .maker = make_popularity,
                    .needs_popularity = true},
      PredictorKind{.name = "gate",
                    .summary = "the coming layer's router on the present hidden state, at a given accuracy",
                    .source = "mixtral-offloading (2312.17238)",
                    .maker = make_gate,
                    .needs_accuracy = true,
                    .reads_truth = true},
      PredictorKind{.name = "oracle",
                    .summary = "the true experts of the coming layers, the next token's included",
                    .source = "",
                    .maker = make_oracle,
                    .reads_truth = true},
  };
  return kinds;
}

std::optional<Target> look_ahead(const StepRouting& step, const StepRouting* next, int layer, int distance) {
  const int ahead = layer + distance;
  if (ahead < step.end_layer) return Target{&step, ahead};
  if (!next) return std::nullopt;
  const int into_next = next->first_layer + (ahead - step.end_layer);
  if (into_next >= next->end_layer) return std::nullopt;
  return Target{next, into_next};
}

}  // namespace specmoe
