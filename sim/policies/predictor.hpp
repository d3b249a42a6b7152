// Which experts the coming layers will want. A predictor is one file in predictor/: a class in an anonymous
// namespace and one make_ function, listed in the table of predictor.cpp.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "models/moe/model.hpp"
#include "models/moe/routing/routing.hpp"
#include "sim/base/random.hpp"

namespace specmoe {

/// The routing of one step. A predictor that stands for one of known accuracy reads the truth here and spoils
/// it.
struct StepRouting {
  int layers = 0, top_k = 0;
  std::int64_t tokens = 0;
  /// First and one past the last MoE layer that the step runs through.
  int first_layer = 0, end_layer = 0;
  std::vector<std::int16_t> experts;  // [token, layer, rank]; -1 = not routed
  /// [token, layer, rank] gate weights as the model applies them; empty where the routing has none.
  std::vector<float> weights;
  /// [token] the request that the token belongs to. Tokens of a request are neighbours, in order of position.
  std::vector<std::int64_t> requests;
  bool prefill = false;

  std::span<const std::int16_t> at(std::int64_t token, int layer) const {
    return std::span(experts).subspan(static_cast<std::size_t>((token * layers + layer) * top_k),
                                      static_cast<std::size_t>(top_k));
  }
  /// Empty where there are none.
  std::span<const float> weights_at(std::int64_t token, int layer) const {
    if (weights.empty()) return {};
    return std::span(weights).subspan(static_cast<std::size_t>((token * layers + layer) * top_k),
                                      static_cast<std::size_t>(top_k));
  }
};

struct PredictorContext {
  int layers = 0, experts = 0, top_k = 0;
  std::uint64_t seed = 0;
  /// Accesses counted before the run, for predictors that use popularity.
  const ExpertCounts* popularity = nullptr;
  /// Share of the top_k experts named rightly, [layer or one for all][distance - 1, the last one holds
  /// beyond].
  std::vector<std::vector<double>> accuracy;
  /// Experts named a layer by predictors that choose how many; 0 for top_k.
  int width = 0;
};

class Predictor {
 public:
  virtual ~Predictor() = default;
  /// Names experts of the layer `distance` MoE layers after `layer`, when the routing of `layer` has just
  /// become known. Appends each expert at most once, the most wanted first; appends nothing where it cannot
  /// look.
  /// @param next the step that follows, or nullptr at the end of the run.
  virtual void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
                       std::vector<ExpertId>& out) = 0;
  /// Whether predicting costs the device the router of the predicted layer.
  virtual bool runs_router() const { return false; }
};

struct PredictorKind {
  std::string_view name;
  std::string_view summary;
  bool needs_accuracy;
  std::unique_ptr<Predictor> (*make)(const PredictorContext&);
};

/// All predictors; what scenarios, error messages and `specmoe list` name. "none" has no maker.
std::span<const PredictorKind> predictor_kinds();

/// The layer `distance` MoE layers after `layer` in execution order, with the step it belongs to.
struct Target {
  const StepRouting* step;
  int layer;
};
/// none if it lies beyond the next step.
std::optional<Target> look_ahead(const StepRouting& step, const StepRouting* next, int layer, int distance);

}  // namespace specmoe
