#include "sim/policies/predictor.hpp"

#include <array>

namespace specmoe {

std::unique_ptr<Predictor> make_popularity(const PredictorContext&);
std::unique_ptr<Predictor> make_top_k(const PredictorContext&);
std::unique_ptr<Predictor> make_previous_token(const PredictorContext&);
std::unique_ptr<Predictor> make_transition(const PredictorContext&);
std::unique_ptr<Predictor> make_trace_match(const PredictorContext&);
std::unique_ptr<Predictor> make_expert_map(const PredictorContext&);
std::unique_ptr<Predictor> make_intelligent(const PredictorContext&);
std::unique_ptr<Predictor> make_all(const PredictorContext&);
std::unique_ptr<Predictor> make_external(const PredictorContext&);
std::unique_ptr<Predictor> make_gate(const PredictorContext&);
std::unique_ptr<Predictor> make_gate_until_miss(const PredictorContext&);
std::unique_ptr<Predictor> make_horizon(const PredictorContext&);
std::unique_ptr<Predictor> make_path(const PredictorContext&);
std::unique_ptr<Predictor> make_multi_look_ahead(const PredictorContext&);
std::unique_ptr<Predictor> make_pre_gated(const PredictorContext&);
std::unique_ptr<Predictor> make_oracle(const PredictorContext&);

using enum Parameter::Type;

std::span<const PredictorKind> predictor_kinds() {
  static constexpr std::array kinds{
      PredictorKind{.name = "none", .summary = "no prefetch", .source = "", .maker = nullptr},
      PredictorKind{.name = "popularity",
                    .summary = "the most popular experts of the coming layers",
                    .source = "",
                    .maker = make_popularity,
                    .needs_popularity = true},
      PredictorKind{.name = "top-k",
                    .summary = "what the last tokens used most in the coming layers",
                    .source = "the seed's strategy D",
                    .maker = make_top_k,
                    .declared = {{{"history", 10, 1, 1e6, "tokens that count", whole}}}},
      PredictorKind{.name = "previous-token",
                    .summary = "what the sequence's token before used in the coming layers",
                    .source = "",
                    .maker = make_previous_token},
      PredictorKind{
          .name = "transition",
          .summary = "what tokens at the present experts went on to, learnt online, up to 3 layers ahead",
          .source = "ExFlow (2401.08383)",
          .maker = make_transition,
          .declared = {{{"fade", 0, 0, 1, "least weight of a new token in its experts' shares"}}}},
      PredictorKind{
          .name = "trace-match",
          .summary = "what the finished sequence used that is most like this one",
          .source = "MoE-Infinity (2401.14361)",
          .maker = make_trace_match,
          .declared = {{{"matrices", 32, 1, 1000, "finished sequences kept to match with", whole}}}},
      PredictorKind{.name = "expert-map",
                    .summary = "what the pass used that is most like this one; more the less alike",
                    .source = "FineMoE (2502.05370)",
                    .maker = make_expert_map,
                    .declared = {{{"maps", 128, 1, 10'000, "passes kept to match with", whole}}},
                    .wants_weights = true},
      PredictorKind{.name = "intelligent",
                    .summary = "frequency, recency and transitions above a confidence, as many as come true",
                    .source = "the seed's strategy E",
                    .maker = make_intelligent,
                    .declared = {{{"frequency", 0.3, 0, 1, "weight of the uses"},
                                  {"recency", 0.3, 0, 1, "weight of exp(-age / horizon)"},
                                  {"transition", 0.4, 0, 1, "weight of what follows the present experts"},
                                  {"horizon", 10, 0.1, 1e6, "passes in which recency falls by e"},
                                  {"confidence", 0.5, 0, 1, "least sum that is named"},
                                  {"most", 12, 1, 1000, "names a token at most; top-k at least", whole}}}},
      PredictorKind{.name = "all",
                    .summary = "every expert of the coming layers",
                    .source = "SE-MoE (2205.10034), DeepSpeed",
                    .maker = make_all},
      PredictorKind{.name = "external",
                    .summary = "predictions from a file",
                    .source = "",
                    .maker = make_external,
                    .declared = {{{"file", 0, 0, 0, "HDF5, see sim/policies/predictor/external.cpp", file},
                                  {"confidence", 0, 0, 1, "least confidence that is named"}}}},
      PredictorKind{.name = "gate",
                    .summary = "the coming layer's router on the present hidden state, at a given accuracy",
                    .source = "mixtral-offloading (2312.17238)",
                    .maker = make_gate,
                    .needs_accuracy = true,
                    .reads_truth = true},
      PredictorKind{.name = "gate-until-miss",
                    .summary = "the gate, layer after layer, until an expert that it names is not held",
                    .source = "HOBBIT (2411.01433)",
                    .maker = make_gate_until_miss,
                    .needs_accuracy = true,
                    .reads_truth = true},
      PredictorKind{
          .name = "horizon",
          .summary = "the gate, farther ahead while experts are missing, less far while it errs",
          .source = "ExpertFlow (2510.26730)",
          .maker = make_horizon,
          .declared = {{{"missing", 0.05, 0, 1, "share of accesses not held above which it looks farther"},
                        {"wrong", 0.25, 0, 1, "share of names not wanted above which it looks less far"}}},
          .needs_accuracy = true,
          .reads_truth = true},
      PredictorKind{.name = "path",
                    .summary = "a model that names all layers' experts once a step, at a given accuracy",
                    .source = "ExpertFlow (2410.17954)",
                    .maker = make_path,
                    .needs_accuracy = true,
                    .reads_truth = true},
      PredictorKind{
          .name = "multi-look-ahead",
          .summary = "several candidates a token, as far ahead as the accuracy is above a confidence",
          .source = "the seed's strategy C",
          .maker = make_multi_look_ahead,
          .declared = {{{"confidence", 0.7, 0, 1, "least accuracy at which a distance is named"}}},
          .needs_accuracy = true,
          .reads_truth = true},
      PredictorKind{.name = "pre-gated",
                    .summary = "the next layer's true experts, which the gate before it chose",
                    .source = "Pre-gated MoE (2308.12066)",
                    .maker = make_pre_gated,
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
