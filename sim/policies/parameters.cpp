#include "sim/policies/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace specmoe {

std::string Parameter::describe() const {
  if (type == Type::file) return fmt::format("{}, a file: {}", name, meaning);
  return fmt::format("{} = {:g}, {:g} to {:g}: {}", name, value, least, most, meaning);
}

std::span<const Parameter> named(const DeclaredParameters& declared) {
  const auto end =
      std::find_if(declared.begin(), declared.end(), [](const Parameter& p) { return p.name.empty(); });
  return {declared.begin(), end};
}

ParameterValues ParameterValues::read(const Yaml& node, std::string_view but,
                                      std::span<const Parameter> declared,
                                      const std::filesystem::path& folder) {
  std::vector<std::string_view> names{but};
  for (const Parameter& parameter : declared) names.push_back(parameter.name);
  node.allow_only(names);
  ParameterValues values;
  for (const Parameter& p : declared) {
    if (p.type == Parameter::Type::file) {
      values.set(p.name, (folder / node[p.name].text()).string());
      continue;
    }
    const auto found = node.find(p.name);
    if (!found) continue;
    values.set(p.name, p.type == Parameter::Type::number
                           ? found->number(p.least, p.most)
                           : static_cast<double>(found->integer(static_cast<std::int64_t>(p.least),
                                                                static_cast<std::int64_t>(p.most))));
  }
  return values;
}

void ParameterValues::complete(std::span<const Parameter> declared) {
  const auto find = [&](std::string_view name) {
    const auto at =
        std::find_if(declared.begin(), declared.end(), [&](const Parameter& p) { return p.name == name; });
    if (at == declared.end())
      throw std::logic_error(fmt::format("a parameter {} that is not declared", name));
    return *at;
  };
  for (const auto& [name, value] : numbers_) {
    const Parameter p = find(name);
    if (!(value >= p.least && value <= p.most))
      throw std::logic_error(fmt::format("{} = {} is out of range", name, value));
  }
  for (const auto& [name, file] : files_) find(name);
  for (const Parameter& p : declared)
    if (p.type != Parameter::Type::file) numbers_.try_emplace(std::string(p.name), p.value);
}

double ParameterValues::number(std::string_view name) const {
  const auto at = numbers_.find(name);
  if (at == numbers_.end()) throw std::logic_error(fmt::format("no parameter {}", name));
  return at->second;
}

const std::string& ParameterValues::file(std::string_view name) const {
  const auto at = files_.find(name);
  if (at == files_.end()) throw std::logic_error(fmt::format("no file {}", name));
  return at->second;
}

}  // namespace specmoe
