#include "sim/policies/predictor.hpp"

#include <array>

namespace specmoe {

std::unique_ptr<Predictor> make_popularity(const PredictorContext&);
std::unique_ptr<Predictor> make_gate(const PredictorContext&);
std::unique_ptr<Predictor> make_oracle(const PredictorContext&);

std::span<const PredictorKind> predictor_kinds() {
  static constexpr std::array kinds{
      PredictorKind{"none", "no prefetch", false, nullptr},
      PredictorKind{"popularity", "the most popular experts of the coming layers", false, make_popularity},
      PredictorKind{"gate", "the coming layer's router on the present hidden state, at a given accuracy",
                    true, make_gate},
      PredictorKind{"oracle", "the true experts of the coming layers, the next token's included", false,
                    make_oracle},
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
