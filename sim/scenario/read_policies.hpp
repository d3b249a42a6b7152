// Eviction, placement and prediction as a scenario names them: "lru", or {policy: mrs, alpha: 0.7}.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/moe/model.hpp"
#include "sim/base/yaml.hpp"
#include "sim/engine/engine.hpp"

namespace specmoe {

/// @param strategy its name, for errors about keys that are not there
/// @throws InputError for names, parameters and combinations that are none
void read_eviction(const std::optional<Yaml>& eviction, const std::optional<Yaml>& start, const Yaml& where,
                   const std::string& strategy, EngineSettings& settings);
/// After accuracy, width and window have been read. @param folder to which files are relative
/// @return the network that its file describes
std::optional<PredictorNetwork> read_predictor(const std::optional<Yaml>& predictor,
                                               const std::filesystem::path& folder, const MoeModel& model,
                                               const Yaml& where, const std::string& strategy,
                                               EngineSettings& settings);
/// [layer or one for all][distance - 1]
std::vector<std::vector<double>> read_accuracy(const Yaml& node, int layers);

}  // namespace specmoe
