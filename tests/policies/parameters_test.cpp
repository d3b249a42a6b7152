// Parameters of policies: declared once, checked everywhere, told by README.
#include "sim/policies/parameters.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <stdexcept>

#include "tests/engine/random_scenario.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;

namespace {

ParameterValues read(const std::string& yaml, std::span<const Parameter> declared) {
  return ParameterValues::read(Yaml::parse(yaml, "s.yaml"), "policy", declared, "folder");
}

template <class Kinds, class Check>
void each_parameter(const Kinds& kinds, Check check) {
  for (const auto& kind : kinds)
    for (const Parameter& parameter : kind.parameters()) {
      INFO(kind.name << " " << parameter.name);
      check(kind, parameter);
    }
}

// Below and above its range, and its ends, as YAML and as code gives them.
template <class Kind>
void check_range(const Kind& kind, const Parameter& p) {
  if (p.type == Parameter::Type::file) {
    CHECK(message_of([&] { read("{policy: x}", kind.parameters()); }).find("missing") != std::string::npos);
    return;
  }
  CHECK(p.value >= p.least);
  CHECK(p.value <= p.most);
  CHECK(p.least < p.most);
  for (const double outside : {p.least - 1, p.most + 1}) {
    if (kind.name != "external") {
      const std::string message =
          message_of([&] { read(fmt::format("{{policy: x, {}: {}}}", p.name, outside), kind.parameters()); });
      CHECK(message.find(fmt::format("s.yaml:1: {}: ", p.name)) != std::string::npos);
    }
    ParameterValues values;
    values.set(p.name, outside);
    CHECK_THROWS_AS(values.complete(kind.parameters()), std::logic_error);
  }
  for (const double inside : {p.least, p.value, p.most}) {
    ParameterValues values;
    values.set(p.name, inside);
    values.complete(kind.parameters());
    CHECK(values.number(p.name) == inside);
  }
}

template <class Kind>
std::string row(const Kind& kind) {
  std::string parameters;
  if constexpr (requires { kind.parameters(); })
    for (const Parameter& p : kind.parameters())
      parameters += fmt::format("{}`{}`{}", parameters.empty() ? "" : ", ", p.name,
                                p.type == Parameter::Type::file ? "" : fmt::format(" {:g}", p.value));
  return fmt::format("| `{}` | {} | {} | {} |", kind.name, kind.summary, kind.source, parameters);
}

}  // namespace

TEST_CASE("parameters: each has a default in its range, and what is outside is refused") {
  each_parameter(eviction_kinds(), [](const EvictionKind& k, const Parameter& p) { check_range(k, p); });
  each_parameter(predictor_kinds(), [](const PredictorKind& k, const Parameter& p) { check_range(k, p); });
}

TEST_CASE("parameters: what is not told has its default, what is not declared is an error") {
  const auto declared = eviction_named("mrs").parameters();
  ParameterValues values = read("{policy: mrs, alpha: 0.7}", declared);
  values.complete(declared);
  CHECK(values.number("alpha") == 0.7);
  CHECK(values.whole("top") == 0);
  CHECK(message_of([&] { read("{policy: mrs, beta: 1}", declared); }) ==
        "s.yaml:1: beta: unknown key; expected one of policy, alpha, top");
  CHECK_THROWS_AS(values.number("beta"), std::logic_error);
  values.set("beta", 1);
  CHECK_THROWS_AS(values.complete(declared), std::logic_error);
}

TEST_CASE("parameters: files are relative to the scenario") {
  const auto declared = predictor_named("external").parameters();
  CHECK(read("{policy: external, file: p.h5}", declared).file("file") == "folder/p.h5");
}

TEST_CASE("parameters: README has the row of every policy, placement and predictor") {
  const std::string readme = read_text(std::filesystem::path(SPECMOE_SOURCE_DIR) / "README.md");
  const auto check = [&](const auto& kinds) {
    for (const auto& kind : kinds)
      CHECK_MESSAGE(readme.find(row(kind) + "\n") != std::string::npos, row(kind));
  };
  check(eviction_kinds());
  check(start_kinds());
  check(predictor_kinds());
}
