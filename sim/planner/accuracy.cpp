#include "sim/planner/accuracy.hpp"

#include "sim/base/build_info.hpp"
#include "sim/base/yaml.hpp"

namespace specmoe {

std::filesystem::path PublishedErrors::file() { return home() / "validation/published/errors.yaml"; }

PublishedErrors PublishedErrors::load(const std::filesystem::path& file) {
  PublishedErrors errors;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return errors;
  for (const auto& [name, node] : Yaml::load(file)["classes"].entries()) {
    ErrorRange range{node["rows"].integer(0, 1'000'000), node["low"].number(0, 1e6), 0};
    range.high = node["high"].number(range.low, 1e6);
    errors.classes_[name] = range;
  }
  return errors;
}

std::optional<PublishedErrors::Answer> PublishedErrors::of(const std::string& name) const {
  if (const auto found = classes_.find(name); found != classes_.end() && found->second.rows >= kFewestRows)
    return Answer{found->second, name};
  if (const auto all = classes_.find("all"); all != classes_.end() && all->second.rows > 0)
    return Answer{all->second, "all"};
  return std::nullopt;
}

}  // namespace specmoe
