// specmoe compare: the frame, equal bytes, what cannot run, and taking up again.
#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "tests/cli/command.hpp"

using namespace specmoe;

namespace {

// 60 experts of 17.3 MB in each of 24 layers: 24.9 GB.
const std::string kScenario = R"(name: base
seed: 1
platform: rtx4090
model: qwen1.5-moe-a2.7b
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0}
workload: {requests: 3, batch: 1, prompt_tokens: 2, output_tokens: 6}
placement: {experts: dram}
cache: {eviction: lru}
strategies:
  - {name: lfu, cache: {eviction: lfu}}
  - {name: gate, prefetch: {predictor: gate, accuracy: 0.9}}
)";

std::vector<std::vector<std::string>> fields(const std::string& csv) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(cell);
  }
  return rows;
}

const std::vector<std::string>& row_of(const std::vector<std::vector<std::string>>& rows,
                                       const std::string& name) {
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) {
    return r.size() > 3 && r[3].find(name) != std::string::npos;
  });
  REQUIRE(row != rows.end());
  return *row;
}

}  // namespace

TEST_CASE(
    "compare: plain LRU and Belady of the same bytes stand beside the strategies, and all resident if it "
    "fits") {
  const TemporaryFolder folder;
  folder.write("a.yaml", kScenario);
  const CommandResult result =
      specmoe_command(folder, "compare a.yaml --share 0.25 --out out --format csv --platform h100_sxm_80gb");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  const auto rows = fields(result.out);
  CHECK(rows.size() == 6);  // heading, two strategies, three of the frame
  for (const char* name : {"\"lfu\"", "\"gate\"", "LRU (frame)", "Belady (frame)"}) {
    CHECK(row_of(rows, name)[1] == "0.25");
    CHECK(row_of(rows, name)[2] == "6228541440");  // 0.25 x 24 x 60 x 3 x 2048 x 1408 x 2 B
  }
  CHECK(row_of(rows, "all resident")[1] == "1");
  // tokens_per_second, of_lru, hit_rate: each followed by its interval
  const auto number = [&](const char* name, std::size_t column) {
    return std::stod(row_of(rows, name)[column]);
  };
  CHECK(number("LRU (frame)", 9) == 1);
  CHECK(number("LRU (frame)", 10) == 1);
  CHECK(number("LRU (frame)", 11) == 1);
  CHECK(number("Belady (frame)", 12) >= number("LRU (frame)", 12));
  CHECK(number("all resident", 12) == 1);
  CHECK(number("all resident", 6) > number("Belady (frame)", 6));
  for (const char* name : {"\"lfu\"", "\"gate\""}) {
    CHECK(number(name, 7) <= number(name, 6));
    CHECK(number(name, 6) <= number(name, 8));
  }
  CHECK(read_text(folder / "out/compare.csv") == result.out);

  SUBCASE("called again it simulates nothing and says the same") {
    const CommandResult again = specmoe_command(
        folder, "compare a.yaml --share 0.25 --out out --format csv --platform h100_sxm_80gb");
    CHECK(again.status == 0);
    CHECK(again.out == result.out);
    CHECK(again.err.find("simulated") == std::string::npos);
  }
  SUBCASE("another share is simulated") {
    const CommandResult other =
        specmoe_command(folder, "compare a.yaml --share 0.5 --out out --format csv --platform h100_sxm_80gb");
    CHECK(other.err.find("h100_sxm_80gb, 50 %: gate: simulated") != std::string::npos);
  }
}

TEST_CASE("compare: a predictor's network comes out of the strategy's bytes, and the table tells its time") {
  const TemporaryFolder folder;
  folder.write("a.yaml",
               kScenario +
                   "  - {name: net, prefetch: {predictor: path, accuracy: 0.9, network: {layer: [[1, 1000, "
                   "1000]], parameters: 5e7}}}\n");
  const CommandResult result =
      specmoe_command(folder, "compare a.yaml --share 0.25 --out out --format csv --platform h100_sxm_80gb");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  const auto rows = fields(result.out);
  CHECK(rows.size() == 7);  // no other plain LRU
  for (const char* name : {"\"net\"", "\"gate\"", "LRU (frame)"})
    CHECK(row_of(rows, name)[2] == "6228541440");
  const CommandResult run = specmoe_command(folder, "run a.yaml --platform h100_sxm_80gb --out run");
  REQUIRE_MESSAGE(run.status == 0, run.err);
  CHECK(run.out.find("kernels of the predictor's network a decode step") != std::string::npos);
}

TEST_CASE("compare: a scenario's own plain LRU is the frame's, and what does not fit says by how much") {
  const TemporaryFolder folder;
  folder.write("a.yaml", kScenario + "  - {name: mine}\n");
  const CommandResult result =
      specmoe_command(folder, "compare a.yaml --share 0.25,0.95 --out out --format csv");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  CHECK(result.out.find("LRU (frame)") == std::string::npos);
  const auto rows = fields(result.out);
  CHECK(row_of(rows, "mine")[9] == "1");
  // 24.9 GB of experts beside the other weights on a card of 24 GiB
  CHECK(row_of(rows, "all resident")[5].find("does not fit in GPU memory by") != std::string::npos);
  CHECK(std::count_if(rows.begin(), rows.end(), [](const auto& r) {
          return r[1] == "0.95" && r[5].find("does not fit in GPU memory by") != std::string::npos;
        }) == 3);
}

TEST_CASE("compare: what a platform cannot run is a row that says why") {
  const TemporaryFolder folder;
  folder.write("b.yaml",
               std::string(kScenario).replace(kScenario.find("placement: {experts: dram}\n"), 27, "") +
                   "  - {name: on the CPU, miss: {compute: cpu}}\n");
  const CommandResult result =
      specmoe_command(folder, "compare b.yaml --share 0.25 --out out --platform jetson_agx_orin_64gb");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  CHECK(result.out.find("on the CPU") != std::string::npos);
  CHECK(result.out.find("miss.compute: \"cpu\"; expected gpu") != std::string::npos);
}

TEST_CASE("compare: bad input is one line and exit status 2") {
  const TemporaryFolder folder;
  folder.write("a.yaml", kScenario);
  const auto refused = [&](const std::string& arguments, const std::string& says) {
    const CommandResult result = specmoe_command(folder, "compare " + arguments);
    CHECK(result.status == 2);
    CHECK(result.out.empty());
    CHECK_MESSAGE(result.err.find(says) != std::string::npos, result.err);
  };
  refused("a.yaml --strategies nobody", "a.yaml: no strategy \"nobody\"; expected some of lfu, gate");
  refused("missing.yaml", "missing.yaml: cannot be read");
  refused("a.yaml --platform rtx9090", "platform \"rtx9090\" is unknown");
  refused("a.yaml --share 2", "--share");
}
