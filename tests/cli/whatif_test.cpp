#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tests/cli/command.hpp"

using namespace specmoe;
using Json = nlohmann::json;

namespace {
const std::string kScenario = R"(name: small
seed: 3
platform: rtx4090
model: qwen1.5-moe-a2.7b
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0.1}
workload: {requests: 2, batch: 2, prompt_tokens: 4, output_tokens: 6}
cache: {capacity: 2 GB, eviction: lru}
strategies:
  - name: small cache
  - name: large cache
    cache: {capacity: 4 GB}
)";

Json asked(const TemporaryFolder& folder, const std::string& arguments) {
  const CommandResult result = specmoe_command(folder, "whatif " + arguments + " --format json --out asked");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  return Json::parse(result.out);
}
}  // namespace

TEST_CASE("whatif: json tells the numbers of specmoe run, before and after the change") {
  const TemporaryFolder folder;
  folder.write("small.yaml", kScenario);
  std::string changed = kScenario;
  folder.write("changed.yaml", changed.replace(changed.find("batch: 2"), 8, "batch: 1"));
  const Json answer = asked(folder, "small.yaml --set workload.batch=1");
  CHECK(answer["changed"]["batch"] == 1);
  for (const auto& [side, file] : {std::pair{"base", "small.yaml"}, {"changed", "changed.yaml"}}) {
    CAPTURE(side);
    const Json runs = Json::parse(
        specmoe_command(folder, std::string("run ") + file + " --format json --no-report --out out")
            .out)["runs"];
    const Json& rows = answer[side]["strategies"];
    REQUIRE(rows.size() == 2);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CHECK(rows[i]["refused"].is_null());
      for (const char* key :
           {"strategy", "tpot", "ttft", "tokens_per_second", "hit_rate", "energy_per_token"})
        CHECK(rows[i][key] == runs[i][key]);
    }
  }
}

TEST_CASE("whatif: json without a change is the base alone") {
  const TemporaryFolder folder;
  folder.write("small.yaml", kScenario);
  const Json answer = asked(folder, "small.yaml");
  CHECK(answer["changed"].is_null());
  CHECK(answer["base"]["strategies"].size() == 2);
}

TEST_CASE("whatif: json says why a strategy cannot run, in the scenario's order") {
  const TemporaryFolder folder;
  folder.write("small.yaml", kScenario);
  // The rest of 24 GiB is less than 100 GB.
  const Json answer = asked(folder, "small.yaml --set 'cache.capacity=100 GB'");
  const Json& rows = answer["changed"]["strategies"];
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["strategy"] == "small cache");
  CHECK(rows[0]["refused"].get<std::string>().find("cache.capacity") != std::string::npos);
  CHECK(rows[0]["tpot"].is_null());
  CHECK(rows[1]["refused"].is_null());
}

TEST_CASE("whatif: of a study, its base with what it sets for all points") {
  const TemporaryFolder folder;
  folder.write("small.yaml", kScenario);
  folder.write("study.yaml",
               "name: study\nscenario: small.yaml\nset: {cache.capacity: 3 GB}\n"
               "axes:\n  batch: {key: workload.batch, values: [1, 2]}\n");
  const Json of_study = asked(folder, "study.yaml");
  CHECK(of_study["base"]["batch"] == 2);
  CHECK(of_study["base"]["strategies"] ==
        asked(folder, "small.yaml --set 'cache.capacity=3 GB'")["changed"]["strategies"]);
}

TEST_CASE("whatif: json has no tornado and no break-even") {
  const TemporaryFolder folder;
  folder.write("small.yaml", kScenario);
  const CommandResult result = specmoe_command(folder, "whatif small.yaml --sensitivity --format json");
  CHECK(result.status == 2);
  CHECK(result.err.find("--format json: beside --sensitivity") != std::string::npos);
}

TEST_CASE("whatif: sensitivity of a study's base, the most telling number first") {
  const TemporaryFolder folder;
  folder.write("small.yaml", kScenario);
  folder.write("study.yaml", "name: s\nscenario: small.yaml\nset: {workload.batch: 1}\n");
  const CommandResult result =
      specmoe_command(folder,
                      "whatif study.yaml --sensitivity --of platform.links.pcie.latency "
                      "platform.links.pcie.bandwidth --out out");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  CHECK(result.out.find("platform.links.pcie.bandwidth") < result.out.find("platform.links.pcie.latency"));
  CHECK(std::filesystem::exists(folder / "out/report.html"));
}

TEST_CASE("whatif: break-even by bisection, on either side of which another is faster") {
  const TemporaryFolder folder;
  // Where a CPU computes what is missing, the link's speed decides who is faster.
  folder.write("two.yaml", R"(name: two
seed: 3
platform: rtx4090
model: qwen1.5-moe-a2.7b
routing: {generate: {zipf: 0.5, reuse: 0.3, correlation: 0}}
workload: {requests: 1, batch: 1, prompt_tokens: 4, output_tokens: 8, prefill: false}
cache: {capacity: 2 GB}
strategies:
  - {name: loads}
  - {name: computes, miss: {compute: cpu}}
)");
  const auto ask = [&](const std::string& between) {
    return specmoe_command(folder, "whatif two.yaml --break-even platform.links.pcie.bandwidth --between " +
                                       between + " --strategy loads --against computes --out out");
  };
  const CommandResult found = ask("'4 GB/s' '800 GB/s'");
  REQUIRE_MESSAGE(found.status == 0, found.err);
  const std::string mark = "equal at platform.links.pcie.bandwidth = ";
  REQUIRE_MESSAGE(found.out.find(mark) != std::string::npos, found.out);
  const double at = std::stod(found.out.substr(found.out.find(mark) + mark.size()));
  CHECK(at > 4);
  CHECK(at < 800);
  // 5 % below it the CPU is faster, 5 % above it the link.
  CHECK(ask(fmt::format("'4 GB/s' '{} GB/s'", at * 0.95)).out.find("computes is the faster at both") !=
        std::string::npos);
  CHECK(ask(fmt::format("'{} GB/s' '800 GB/s'", at * 1.05)).out.find("loads is the faster at both") !=
        std::string::npos);
}
