#include "sim/scenario/read_policies.hpp"

#include <fmt/format.h>

#include "sim/base/input_error.hpp"
#include "sim/base/try_reading.hpp"
#include "sim/scenario/section.hpp"

namespace specmoe {
namespace {

// A name, or a map that has it under `key` beside parameters.
template <class Kind>
const Kind* read_kind(std::span<const Kind> kinds, const std::optional<Yaml>& node, std::string_view key,
                      const std::filesystem::path& folder, ParameterValues& parameters) {
  if (!node) return &kinds.front();
  const Kind* const kind = find_kind(kinds, node->is_map() ? (*node)[key] : *node);
  if (node->is_map()) {
    parameters = ParameterValues::read(*node, key, kind->parameters(), folder);
  } else {
    for (const Parameter& parameter : kind->parameters())
      if (parameter.type == Parameter::Type::file)
        node->fail(fmt::format("{{{}: {}, {}: ...}}", key, kind->name, parameter.name));
  }
  return kind;
}

}  // namespace

void read_eviction(const std::optional<Yaml>& eviction, const std::optional<Yaml>& start, const Yaml& where,
                   const std::string& strategy, EngineSettings& settings) {
  settings.eviction = read_kind(eviction_kinds(), eviction, "policy", {}, settings.eviction_parameters);
  settings.start = start ? find_kind(start_kinds(), *start) : &start_kinds().front();
  if (settings.eviction->name == "static" && !settings.start->order)
    throw InputError(where.file(), where.line(), strategy + ": static eviction of an empty cache",
                     "cache.start: popular, uniform, front or random");
}

std::optional<PredictorNetwork> read_predictor(const std::optional<Yaml>& predictor,
                                               const std::filesystem::path& folder, const MoeModel& model,
                                               const Yaml& where, const std::string& strategy,
                                               EngineSettings& settings) {
  settings.predictor = read_kind(predictor_kinds(), predictor, "name", folder, settings.predictor_parameters);
  if (settings.predictor->needs_accuracy && settings.accuracy.empty())
    throw InputError(where.file(), where.line(), fmt::format("{}: prefetch.accuracy: missing", strategy),
                     fmt::format("the share of experts that \"{}\" names rightly", settings.predictor->name));
  // What comes from a file is opened once here, so that one that is not the model's is refused before anything runs.
  if (settings.predictor_parameters.files().empty()) return std::nullopt;
  PredictorContext context{model.moe_layers, static_cast<int>(model.experts), static_cast<int>(model.top_k)};
  context.parameters = settings.predictor_parameters;
  for (const auto& [name, file] : settings.predictor_parameters.files())
    try_reading(file, [&] { settings.predictor->make(context); });
  const auto made = settings.predictor->make(context);
  return made->network() ? std::optional(*made->network()) : std::nullopt;
}

std::vector<std::vector<double>> read_accuracy(const Yaml& node, int layers) {
  const auto curve = [](const Yaml& y) {
    std::vector<double> values;
    if (y.is_scalar()) return std::vector<double>{y.number(0, 1)};
    for (const Yaml& item : y.items()) values.push_back(item.number(0, 1));
    if (values.empty()) y.fail("at least one accuracy");
    return values;
  };
  if (!node.is_list() || node.items().empty() || node.items().front().is_scalar()) return {curve(node)};
  std::vector<std::vector<double>> all;
  for (const Yaml& item : node.items()) all.push_back(curve(item));
  if (static_cast<int>(all.size()) != layers) node.fail(fmt::format("a curve for each of {} layers", layers));
  return all;
}

}  // namespace specmoe
