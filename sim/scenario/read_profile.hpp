// The key routing.profile of a scenario.
#pragma once
#include <string>

#include "sim/base/yaml.hpp"
#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// @throws InputError at `node` if routing of this shape is not one that the model can have.
void require_shape(const Yaml& node, const char* key, int layers, int experts, int top_k,
                   const MoeModel& model);

/// Sets the scenario's routing to a profile, with the workload's lengths; its notes become the scenario's.
/// @param name of a shipped profile, or a file
/// @throws InputError if there is no such profile, or it is not the model's.
void read_profile(const Yaml& node, const std::string& name, const Yaml& workload, Scenario& scenario);

}  // namespace specmoe
