// A scenario file, read and checked whole before anything runs. The keys are listed in scenarios/README.md.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "models/moe/model.hpp"
#include "models/moe/routing/profile_generator.hpp"
#include "models/moe/routing/routing.hpp"
#include "models/moe/routing/routing_generator.hpp"
#include "sim/engine/engine.hpp"
#include "sim/engine/workload.hpp"
#include "sim/scenario/edits.hpp"
#include "sim/scenario/memory_bill.hpp"

namespace specmoe {

/// One way of running the scenario: a row of the result.
struct Strategy {
  std::string name;
  EngineSettings settings;
  MemoryBill bill;
};

/// A strategy that cannot run on this machine, and why.
struct RefusedStrategy {
  std::string name, why;
};

struct Scenario;
/// Bytes of all experts, as a strategy of the scenario has them stored.
Bytes all_experts(const Scenario& scenario, const EngineSettings& settings);

/// Where the routing comes from: a trace file, a profile, or the generator.
struct RoutingOrigin {
  std::filesystem::path trace;                    // empty for the others
  std::shared_ptr<const RoutingProfile> profile;  // null for the others
  ProfileOptions from_profile;
  RoutingOptions generator;

  std::unique_ptr<RoutingSource> open() const;
};

/// A scenario file, read and checked: nothing that runs it refuses it any more.
struct Scenario {
  std::string name, description;
  std::string text;  // as read
  /// What of the scenario and its edits the results depend on: all of it, without comments and spelling.
  std::string identity;
  std::string file;
  std::uint64_t seed = 0;
  Platform platform;
  MoeModel model;
  RoutingOrigin routing;
  Workload workload;
  WorkloadPeak peak;
  std::vector<Strategy> strategies;
  /// Files that the scenario names.
  std::vector<std::filesystem::path> inputs;
  /// What a user should know before believing the result ("popularity counted on the run itself").
  std::vector<std::string> notes;

  /// @throws InputError for anything that could not run: also a model that does not fit (it says by how
  /// much), a trace that is not the model's, a cache that cannot hold one expert.
  /// @param platform a name or file to use instead of the scenario's; empty for the scenario's.
  /// @param refused takes the strategies that this platform or model cannot run, each with why; without it they are
  /// errors.
  static Scenario load(const std::filesystem::path& file, const std::string& platform = "",
                       std::vector<RefusedStrategy>* refused = nullptr);
  /// As load, of a document after edits. Paths in it are relative to its file.
  static Scenario read(const Yaml& document, const std::vector<Edit>& edits,
                       std::vector<RefusedStrategy>* refused = nullptr);
};

}  // namespace specmoe
