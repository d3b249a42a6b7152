// prefetch: {network: ...}: what it costs to compute predictions.
#pragma once
#include <optional>
#include <string>

#include "sim/scenario/scenario.hpp"
#include "sim/scenario/section.hpp"

namespace specmoe {

/// network: {runs_on: stream, precision: bf16, parameters: 8.4e6, step: [[3, 320, 960]], layer: ..., step_attention: ...,
/// layer_attention: ...}. After the predictor has been read.
/// @param of_file the network that the predictor's file describes; shapes in the scenario go before it
/// @throws InputError also where there is no predictor or no network, and for a CPU without kernels
void read_network(const Section& prefetch, const std::optional<PredictorNetwork>& of_file,
                  const std::string& strategy, Scenario& scenario, EngineSettings& out);

}  // namespace specmoe
