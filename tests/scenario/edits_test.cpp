// Changes by path to a scenario, its platform and its model.
#include <doctest/doctest.h>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/scenario/scenario.hpp"

using namespace specmoe;

namespace {

Edit edit(const std::string& path, const std::string& value) {
  return {path, Yaml::parse("v: " + value, "edits.yaml")["v"]};
}

Scenario quickstart(const std::vector<Edit>& edits) {
  return Scenario::read(Yaml::load(home() / "scenarios/quickstart.yaml"), edits);
}

std::string error_of(const std::vector<Edit>& edits) {
  try {
    quickstart(edits);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("edits: a path takes the place of what is there, makes what is not, and knows its own line") {
  const Yaml document = Yaml::parse("a: {b: 1}\nlist:\n  - {name: x, k: 2}\n", "base.yaml");
  const Yaml changed = apply_edits(document, {edit("a.b", "5"), edit("a.c.d", "6"), edit("list[x].k", "x3"),
                                              edit("list[0].new", "[1, {z: 2}]")});
  CHECK(changed.written() == "{a: {b: 5, c: {d: 6}}, list: [{name: x, k: 6, new: [1, {z: 2}]}]}");
  CHECK(document.written() == "{a: {b: 1}, list: [{name: x, k: 2}]}");
  CHECK(changed["a"]["b"].file() == "edits.yaml");
  CHECK(changed["list"].file() == "base.yaml");
}

TEST_CASE("edits: a number keeps its unit when it is multiplied, and its source says what was done") {
  const Yaml document = Yaml::parse("l: {value: 26 GB/s, source: measured}\n", "base.yaml");
  const Yaml changed = apply_edits(document, {edit("l", "x2")});
  CHECK(changed["l"]["value"].text() == "52 GB/s");
  CHECK(changed["l"]["source"].text() == "what if; else 26 GB/s: measured");
}

TEST_CASE("edits: a link's bandwidth is both directions', and what both share at once goes along") {
  // rtx4090: 26 GB/s there, 26.5 GB/s back, 38 GB/s both at once
  const Scenario twice = quickstart({edit("platform.links.pcie.bandwidth", "x2")});
  const Link& link = twice.platform.links.front();
  CHECK(link.forward.bandwidth.value == doctest::Approx(52e9));
  CHECK(link.backward.bandwidth.value == doctest::Approx(53e9));
  CHECK(link.duplex.value == doctest::Approx(76e9));
  // 38 x (52 + 52) / (26 + 26.5)
  const Link fixed = quickstart({edit("platform.links.pcie.bandwidth", "52GB/s")}).platform.links.front();
  CHECK(fixed.forward.bandwidth.value == doctest::Approx(52e9));
  CHECK(fixed.backward.bandwidth.value == doctest::Approx(52e9));
  CHECK(fixed.duplex.value == doctest::Approx(38e9 * 104 / 52.5));
  // A direction without its source is a number too.
  CHECK(error_of({edit("platform.links.pcie.forward", "{bandwidth: 5 GB/s}"),
                  edit("platform.links.pcie.bandwidth", "x2")})
            .find("edits.yaml:1: ") == 0);
}

TEST_CASE("edits: keys of the scenario's model go there, other keys of the model into its file") {
  const Scenario scenario =
      quickstart({edit("model.top_k", "4"), edit("model.hidden", "1440"), edit("platform", "h100_sxm_80gb"),
                  edit("platform.memories.vram.capacity", "x0.5")});
  CHECK(scenario.model.hidden == 1440);
  CHECK(scenario.platform.name == "h100_sxm_80gb");
}

TEST_CASE("edits: the cache as a share of the experts' bytes") {
  const Scenario scenario = quickstart({edit("cache.capacity", "25 %")});
  const EngineSettings& s = scenario.strategies.front().settings;
  CHECK(s.cache_capacity.count ==
        doctest::Approx(0.25 * static_cast<double>(all_experts(scenario, s).count)));
}

TEST_CASE("edits: what is wrong names the edit's file and line") {
  CHECK(error_of({edit("workload.batch", "0")}) ==
        "edits.yaml:1: workload.batch: \"0\"; expected a whole number from 1 to 4096");
  CHECK(error_of({edit("cache.capcity", "1 GB")})
            .find("edits.yaml:1: cache.capcity: unknown key; expected \"capacity\"") == 0);
  CHECK(error_of({edit("strategies[nobody].cache", "1")}).find("edits.yaml:1: strategies[nobody].cache") ==
        0);
  CHECK(error_of({edit("name", "x2")})
            .find("edits.yaml:1: name: x2; expected a factor only where a number stands") == 0);
  CHECK(error_of({edit("platform.links.nothing.bandwidth", "1 GB/s")}).find("edits.yaml:1: ") == 0);
}
