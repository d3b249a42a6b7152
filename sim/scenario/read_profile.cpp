#include "sim/scenario/read_profile.hpp"

#include <fmt/format.h>

#include "models/moe/routing/routing_profile.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {
namespace {

RoutingProfile load(const Yaml& node, const std::string& name) {
  try {
    return RoutingProfile::load(name);
  } catch (const InputError& error) {
    if (!error.file.empty()) throw;  // of a file that is there
    throw InputError(node.file(), node.line(), std::string("routing.profile: ") + error.what());
  }
}

}  // namespace

void require_shape(const Yaml& node, const char* key, int layers, int experts, int top_k,
                   const MoeModel& model) {
  if (layers == model.moe_layers && experts == model.experts && top_k == model.top_k) return;
  const bool only_top_k = layers == model.moe_layers && experts == model.experts;
  throw InputError(
      node.file(), node.line(),
      fmt::format("{}: {} layers of {} experts, top-{}", key, layers, experts, top_k),
      fmt::format("{}'s {} MoE layers of {} experts, top-{}{}", model.name, model.moe_layers, model.experts,
                  model.top_k, only_top_k ? fmt::format("; or model.top_k: {}, as recorded", top_k) : ""));
}

void read_profile(const Yaml& node, const std::string& name, const Yaml& workload, Scenario& scenario) {
  RoutingProfile profile = load(node, name);
  scenario.inputs.push_back(profile.read_from);
  require_shape(node, "routing.profile", profile.layers, profile.experts, profile.top_k, scenario.model);
  if (!profile.notes.empty())
    scenario.notes.push_back(fmt::format("routing profile {}: {}", node.text(), profile.notes));
  ProfileOptions& options = scenario.routing.from_profile;
  options.requests = scenario.workload.first_request + scenario.workload.requests;
  options.prompt_tokens = workload["prompt_tokens"].integer(1, 10'000'000);
  options.output_tokens = workload["output_tokens"].integer(1, 10'000'000);
  options.seed = scenario.seed;
  scenario.routing.profile = std::make_shared<RoutingProfile>(std::move(profile));
}

}  // namespace specmoe
