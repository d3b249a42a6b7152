#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "models/hardware/platform.hpp"
#include "models/moe/model.hpp"
#include "models/moe/routing/routing_profile.hpp"
#include "sim/cli/commands.hpp"
#include "sim/policies/eviction.hpp"
#include "sim/policies/placement.hpp"
#include "sim/policies/predictor.hpp"
#include "sim/policies/start.hpp"

namespace specmoe {

namespace {
template <class Kind>
void list_kinds(const char* key, std::span<const Kind> kinds) {
  fmt::print("{}\n", key);
  for (const Kind& kind : kinds) {
    fmt::print("  {:<18}{}{}\n", kind.name, kind.summary,
               kind.source.empty() ? "" : fmt::format(" [{}]", kind.source));
    if constexpr (requires { kind.parameters(); })
      for (const Parameter& parameter : kind.parameters())
        fmt::print("  {:<18}  {}\n", "", parameter.describe());
  }
}

void list_eviction() { list_kinds("cache.eviction", eviction_kinds()); }
void list_starts() { list_kinds("cache.start", start_kinds()); }
void list_placements() { list_kinds("miss.compute", placement_kinds()); }
void list_predictors() { list_kinds("prefetch.predictor", predictor_kinds()); }
void list_policies() {
  list_eviction();
  list_starts();
  list_predictors();
  list_placements();
}

// The active parameters as the publisher counts them.
double counted_active(const MoeModel& model) {
  const Parameters p = model.parameters();
  if (model.published_active_convention == "without_input_embedding") return p.active_without_input_embedding;
  if (model.published_active_convention == "without_embeddings") return p.active_without_embeddings;
  return p.active;
}

void list_models() {
  fmt::print("{:<22}{:>10}{:>11}{:>11}{:>11}{:>12}{:>14}{:>14}\n", "model", "total B", "published",
             "active B", "published", "MoE layers", "experts/top-k", "MB/expert");
  const auto published = [](double count) { return count > 0 ? fmt::format("{:.5g}", count * 1e-9) : "-"; };
  bool conventions = false;
  for (const std::string& name : model_names()) {
    const MoeModel model = MoeModel::load(name);
    const bool counts_less = model.published_active_convention.starts_with("without");
    conventions = conventions || counts_less;
    fmt::print("{:<22}{:>10.2f}{:>11}{:>11}{:>11}{:>12}{:>14}{:>14.2f}{}\n", name,
               model.parameters().total * 1e-9, published(model.published_total),
               fmt::format("{:.2f}{}", counted_active(model) * 1e-9, counts_less ? "*" : ""),
               published(model.published_active), model.moe_layers,
               fmt::format("{}/{}", model.experts, model.top_k),
               static_cast<double>(model.expert_bytes().count) * 1e-6,
               model.unverified.empty() ? "" : "  unverified");
  }
  if (conventions) fmt::print("*: without embeddings, as its publisher counts\n");
}

void list_profiles() {
  for (const std::string& name : profile_names()) {
    const RoutingProfile p = RoutingProfile::load(name);
    fmt::print("{:<22}{}: {} layers, {} experts, top {}{}; {}; {}\n", name, p.model, p.layers, p.experts,
               p.top_k, p.marginals_only ? ", popularity alone" : "", p.fitted_on, p.source);
    if (!p.notes.empty()) fmt::print("{:<22}note: {}\n", "", p.notes);
  }
}

void list_platforms() {
  for (const std::string& name : platform_names())
    fmt::print("{:<24}{}\n", name, Platform::load(name).description);
}

void list_platform(const std::string& name) {
  const Platform platform = Platform::load(name);
  fmt::print("{}: {}\n", platform.name, platform.description);
  for (const Provenance& p : platform.provenance)
    fmt::print("  {:<44}{:<16}{}{}\n", p.path, p.value, p.unverified ? "UNVERIFIED: " : "", p.source);
}
}  // namespace

void add_list_command(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("list", "What there is: policies, models, routing profiles, platforms");
  command->require_subcommand(0, 1);
  command->add_subcommand("policies", "Eviction policies, placements and predictors")
      ->callback(list_policies);
  command->add_subcommand("predictors", "Predictors alone")->callback(list_predictors);
  command->add_subcommand("models", "Models, with parameters recomputed from their shapes")
      ->callback(list_models);
  command->add_subcommand("profiles", "Profiles of recorded routing, with their sources")
      ->callback(list_profiles);
  CLI::App* platforms =
      command->add_subcommand("platforms", "Platforms; of one, every number with its source");
  platforms->add_option("name", *name, "A platform's name or file");
  platforms->callback([name] { name->empty() ? list_platforms() : list_platform(*name); });
  command->callback([command] {
    if (!command->get_subcommands().empty()) return;
    list_policies();
    fmt::print("models\n");
    for (const std::string& model : model_names()) fmt::print("  {}\n", model);
    fmt::print("profiles\n");
    for (const std::string& profile : profile_names()) fmt::print("  {}\n", profile);
    fmt::print("platforms\n");
    for (const std::string& platform : platform_names()) fmt::print("  {}\n", platform);
  });
}

}  // namespace specmoe
