// Steps made by hand, and predictors that see them go by.
#pragma once
#include <vector>

#include "sim/policies/predictor.hpp"
#include "tests/engine/random_scenario.hpp"

namespace specmoe::testing {

using Ids = std::vector<ExpertId>;

inline PredictorContext context(int layers, int experts, int top_k) {
  PredictorContext c{layers, experts, top_k, 1};
  c.window = 3;
  c.held = [](ExpertId) { return false; };
  c.accuracy = {{1.0}};
  return c;
}

// A decode step; experts are [token, layer, rank], a request a token from 0 on.
inline StepRouting step_of(int layers, int top_k, std::vector<std::int16_t> experts,
                           std::int64_t first_request = 0) {
  StepRouting step{layers, top_k, 0, 0, layers, std::move(experts)};
  step.tokens = std::ssize(step.experts) / (layers * top_k);
  for (std::int64_t token = 0; token < step.tokens; ++token) {
    step.requests.push_back(first_request + token);
    step.rows.push_back(0);
  }
  return step;
}

inline Ids ask(Predictor& predictor, const StepRouting& step, const StepRouting* next, int layer,
               int distance) {
  Ids out;
  predictor.predict(step, next, layer, distance, out);
  return out;
}
// A whole step goes by.
inline void pass(Predictor& predictor, const StepRouting& step) {
  for (int layer = step.first_layer; layer < step.end_layer; ++layer) predictor.observe(step, layer);
}

}  // namespace specmoe::testing
