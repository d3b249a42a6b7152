// What a scenario may tell a policy. Declared in the table of its kind, so that errors, `specmoe list` and README say
// the same.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "sim/base/yaml.hpp"

namespace specmoe {

/// A parameter that a policy declares.
struct Parameter {
  enum class Type { number, whole, file };
  std::string_view name;
  /// Default and range. A file has neither and must be given.
  double value = 0, least = 0, most = 0;
  std::string_view meaning;
  Type type = Type::number;

  /// "alpha = 0.3, 0 to 1: weight of the present step".
  std::string describe() const;
};

/// As many as a policy has; the rest have no name.
using DeclaredParameters = std::array<Parameter, 6>;
std::span<const Parameter> named(const DeclaredParameters& declared);

/// Values by name.
class ParameterValues {
 public:
  /// The entries of `node` but for `but`, which names the policy. A file is relative to `folder`.
  /// @throws InputError for a name that is not declared, a value out of range, a file that is not named
  static ParameterValues read(const Yaml& node, std::string_view but, std::span<const Parameter> declared,
                              const std::filesystem::path& folder);

  void set(std::string_view name, double value) { numbers_.insert_or_assign(std::string(name), value); }
  void set(std::string_view name, std::string file) { files_.insert_or_assign(std::string(name), file); }
  /// Adds the defaults of what was not set. @throws std::logic_error for what is not declared or out of range
  void complete(std::span<const Parameter> declared);

  /// @throws std::logic_error if the policy reads what its kind does not declare
  double number(std::string_view name) const;
  std::int64_t whole(std::string_view name) const { return static_cast<std::int64_t>(number(name)); }
  const std::string& file(std::string_view name) const;
  const std::map<std::string, std::string, std::less<>>& files() const { return files_; }

 private:
  std::map<std::string, double, std::less<>> numbers_;
  std::map<std::string, std::string, std::less<>> files_;
};

}  // namespace specmoe
