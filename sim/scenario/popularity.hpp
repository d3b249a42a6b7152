// How often experts are used, for what begins with the popular ones.
#pragma once
#include <filesystem>

#include "sim/base/yaml.hpp"
#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// Popularity as a list of counts for each layer, or counted in a trace of the same shape.
/// @throws InputError for another shape
ExpertCounts read_counts(const Yaml& node, const std::filesystem::path& folder, const RoutingOptions& shape);

/// Accesses of requests that the run does not use, so that what is popular is not learnt from the run itself. Where there
/// are none, of its own, which the scenario's notes then say.
ExpertCounts count_popularity(Scenario& scenario);

}  // namespace specmoe
