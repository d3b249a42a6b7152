// Small random machines, models and workloads: what the laws are held against.
#pragma once
#include <string>

#include "models/hardware/platform.hpp"
#include "models/moe/model.hpp"
#include "models/moe/routing/routing_generator.hpp"
#include "sim/engine/engine.hpp"

namespace specmoe {

struct RandomScenario {
  Platform platform;
  MoeModel model;
  RoutingOptions routing;
  Workload workload;
  EngineSettings settings;
};

/// The same scenario for the same seed. @param contention whether both directions of the link share its
/// bandwidth
RandomScenario random_scenario(std::uint64_t seed, bool contention);

/// No CPU computes an expert, and none is skipped or in low precision.
void load_all_in_full(EngineSettings& settings);

/// The generator's routing with gate weights made up: of a token they descend and sum to 1.
class WeightedGenerator : public RoutingGenerator {
 public:
  using RoutingGenerator::RoutingGenerator;
  bool has_weights() const override { return true; }
  void read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                    std::span<float> out) override;
};

/// A policy, start or predictor by its name in the table.
const EvictionKind& eviction_named(std::string_view name);
const StartKind& start_named(std::string_view name);
const PredictorKind& predictor_named(std::string_view name);

/// What a run of the engine tells, added up.
class Totals : public EngineObserver {
 public:
  void step_ended(const StepRecord& step) override {
    counters += step.counters;
    steps.push_back(step);
  }
  void run_ended(std::int64_t useless, Bytes peak) override {
    counters.useless += useless;
    cache_peak = peak;
  }
  Counters counters;
  Bytes cache_peak;
  std::vector<StepRecord> steps;
};

}  // namespace specmoe
