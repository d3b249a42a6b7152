// A strategy's sections, which go before the scenario's of the same names.
#pragma once
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/input_error.hpp"
#include "sim/base/yaml.hpp"

namespace specmoe {

/// What is asked is sound, but this platform, model or routing cannot run it: a memory is too small, a CPU has no
/// kernels.
class CannotRun : public InputError {
 public:
  using InputError::InputError;
  explicit CannotRun(const InputError& error) : InputError(error) {}
};

/// As node.fail.
[[noreturn]] inline void cannot_run(const Yaml& node, const std::string& expected) {
  try {
    node.fail(expected);
  } catch (const InputError& error) {
    throw CannotRun(error);
  }
}

/// A key of a strategy's section, or else of the scenario's section of that name.
struct Section {
  std::optional<Yaml> own, common;

  /// @throws InputError for a key that is not among `keys`
  Section(const Yaml& strategy, const Yaml& scenario, const std::string& name,
          std::initializer_list<std::string_view> keys)
      : own(strategy.find(name)), common(scenario.find(name)) {
    if (own) own->allow_only(keys);
    if (common) common->allow_only(keys);
  }
  std::optional<Yaml> find(std::string_view key) const {
    if (own)
      if (auto found = own->find(key)) return found;
    return common ? common->find(key) : std::nullopt;
  }
};

/// The member of a table of policies that a node names. @throws InputError listing all
template <class Kind>
const Kind* find_kind(std::span<const Kind> kinds, const Yaml& node) {
  std::vector<std::string_view> names;
  for (const Kind& kind : kinds) {
    if (kind.name == node.text()) return &kind;
    names.push_back(kind.name);
  }
  node.fail_choice(names);
}

}  // namespace specmoe
