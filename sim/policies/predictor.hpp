// Which experts the coming layers will want. A predictor is one file in predictor/: a class in an anonymous
// namespace and one make_ function, listed in the table of predictor.cpp.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "models/moe/model.hpp"
#include "models/moe/routing/routing.hpp"
#include "sim/base/random.hpp"
#include "sim/policies/parameters.hpp"
#include "sim/policies/predictor_network.hpp"
#include "sim/policies/step_routing.hpp"

namespace specmoe {

/// What a predictor may be built from. References live as long as the predictor.
struct PredictorContext {
  int layers = 0, experts = 0, top_k = 0;
  std::uint64_t seed = 0;
  /// Accesses counted before the run, for predictors that use popularity.
  const ExpertCounts* popularity = nullptr;
  /// Share of the top_k experts named rightly, [layer or one for all][distance - 1, the last one holds
  /// beyond].
  std::vector<std::vector<double>> accuracy{};
  /// Experts named by predictors that choose how many; 0 for top_k.
  int width = 0;
  /// The farthest distance that will be asked for.
  int window = 1;
  /// Whether the cache holds the expert or loads it.
  std::function<bool(ExpertId)> held{};
  ParameterValues parameters{};

  std::size_t names() const { return static_cast<std::size_t>(std::min(experts, width > 0 ? width : top_k)); }
};

/// Names experts that coming layers will want, from what has become known; has no clock.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// The routing of `layer` has become known, of no later one. Once a layer, before the look-ups of its experts and
  /// before predict().
  virtual void observe(const StepRouting&, int /*layer*/) {}
  /// Names experts of the layer `distance` MoE layers after `layer`, when the routing of `layer` has just
  /// become known; distances ascend. Appends each expert at most once, the most wanted first; appends nothing where it
  /// cannot look.
  /// @param next the step that follows, or nullptr at the end of the run.
  virtual void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
                       std::vector<ExpertId>& out) = 0;
  /// Whether predicting costs the device the router of the predicted layer.
  virtual bool runs_router() const { return false; }
  /// What it computes, where it knows; nullptr for nothing that would be charged.
  virtual const PredictorNetwork* network() const { return nullptr; }
};

/// A row of the table of predictors.
struct PredictorKind {
  std::string_view name, summary;
  /// Who proposed it.
  std::string_view source;
  std::unique_ptr<Predictor> (*maker)(const PredictorContext&);
  DeclaredParameters declared{};
  bool needs_accuracy = false, needs_popularity = false;
  /// Gate weights are read for it where the routing has them.
  bool wants_weights = false;
  /// Stands for a predictor of known accuracy: reads the truth, and spoils it. All others know only what has been.
  bool reads_truth = false;

  std::span<const Parameter> parameters() const { return named(declared); }
  /// ParameterValues that the context does not name have their defaults. nullptr for "none".
  std::unique_ptr<Predictor> make(PredictorContext context) const {
    context.parameters.complete(parameters());
    return maker ? maker(context) : nullptr;
  }
};

/// All predictors; what scenarios, error messages and `specmoe list` name. "none" makes none.
std::span<const PredictorKind> predictor_kinds();

/// The layer `distance` MoE layers after `layer` in execution order, with the step it belongs to.
struct Target {
  const StepRouting* step;
  int layer;
};
/// none if it lies beyond the next step.
std::optional<Target> look_ahead(const StepRouting& step, const StepRouting* next, int layer, int distance);

}  // namespace specmoe
