// Runs that others published, beside simulated ones.
#include "validation/compare/cases.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "tests/approx.hpp"
#include "tests/cli/command.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;

namespace {

// Two strategies of a small machine's run, `rows` and constants as given.
std::string case_text(const std::string& rows, const std::string& more = "") {
  return "name: small\ntitle: small\nsource: made up\nclass: link\nassumed: []\n"
         "scenario:\n"
         "  name: small\n  seed: 1\n  platform: rtx4090\n  model: deepseek-moe-16b\n"
         "  routing: {generate: {zipf: 0, reuse: 0, correlation: 0}}\n"
         "  workload: {requests: 1, batch: 1, prompt_tokens: 2, output_tokens: 4}\n"
         "  cache: {capacity: \"50 %\", eviction: static, start: random}\n"
         "  strategies:\n    - name: half\n    - name: all\n      cache: {capacity: \"60 %\"}\n" +
         more + "machines:\n  - name: one\n    tables:\n      - name: t\n        rows:\n" + rows;
}

PublishedCase read(const std::string& text) {
  const TemporaryFolder folder;
  folder.write("small.yaml", text);
  return PublishedCase::load(folder / "small.yaml");
}

std::string error_of(const std::string& text) {
  try {
    read(text);
  } catch (const InputError& error) {
    const std::string what = error.what();
    return what.substr(what.find("small.yaml"));
  }
  return "";
}

CaseRow row(const std::string& strategy, double published, double simulated) {
  CaseRow row{strategy};
  row.published = published;
  row.simulated = simulated;
  return row;
}

PublishedCase of_rows(std::vector<CaseRow> rows) {
  PublishedCase each{"c", "", "", {}, Yaml::parse("a: 1", "c.yaml")};
  each.machines.push_back({"m", {}, {{"t", {}, std::move(rows)}}});
  return each;
}

}  // namespace

TEST_CASE("published case: strategies, metrics and numbers are checked on reading") {
  CHECK(error_of(case_text("          - {strategy: hlaf, published: 3}\n")).find("\"half\"") !=
        std::string::npos);
  CHECK(error_of(case_text("          - {strategy: half, metric: tpot, published: 3}\n")).find("3 ms") ==
        std::string::npos);
  CHECK(error_of(case_text("          - {strategy: half, metric: tpot, published: 3}\n")) != "");
  CHECK(error_of(case_text("          - {strategy: half, published: 0}\n")) != "");
  CHECK(error_of(case_text("          - {strategy: half, published: 3, calibate: true}\n"))
            .find("calibate: unknown key") != std::string::npos);
  // A constant needs rows of each machine to be fitted on.
  CHECK(error_of(case_text("          - {strategy: half, published: 3}\n",
                           "fit:\n  - {path: engine.host_work.layer, low: 1 us, high: 1 ms}\n"))
            .find("rows with calibrate: true, on which engine.host_work.layer can be fitted") !=
        std::string::npos);
  CHECK(error_of(case_text("          - {strategy: half, published: 3}\n")) == "");
}

TEST_CASE("published case: a constant is found again that the published number was made with") {
  const auto simulated = [](const std::string& host_work, const std::string& more,
                            const std::string& published) {
    PublishedCase each =
        read(case_text("          - {strategy: half, published: " + published + ", calibrate: true" +
                           (host_work.empty() ? "" : ", set: {engine.host_work.layer: " + host_work + "}") +
                           "}\n          - {strategy: all, published: 1}\n",
                       more));
    simulate_case(each, 2, [](const std::string&) {});
    return each;
  };
  const PublishedCase truth = simulated("2 ms", "", "1");
  const double speed = truth.machines[0].tables[0].rows[0].simulated;
  const PublishedCase fitted = simulated(
      "", "fit:\n  - {path: engine.host_work.layer, low: 0.01 ms, high: 100 ms}\n", std::to_string(speed));
  CHECK(fitted.machines[0].tables[0].rows[0].error() == doctest::Approx(0).epsilon(0.01));
  CHECK(std::stod(fitted.machines[0].fitted.at(0)) == doctest::Approx(2).epsilon(0.02));
  // It holds for rows that it was not fitted on: 27 layers of 2 ms are 54 ms of each token.
  CHECK(fitted.machines[0].tables[0].rows[1].simulated < 1 / 0.054);
}

TEST_CASE("published case: errors are summed up by class, without the rows that were fitted on") {
  CaseRow calibrated = row("a", 1, 5);
  calibrated.calibrate = true;
  CaseRow slow = row("b", 1, 0.5);
  CaseRow time = row("c", 2, 3);  // s a token, half as long again: published / simulated speed 1.5
  time.metric = CaseMetric::tpot;
  time.kind = CaseClass::disk;
  const std::vector<CaseErrors> errors = case_errors({of_rows({calibrated, slow, time})});
  REQUIRE(errors.size() == 3);
  CHECK(errors[0].kind == "link");
  CHECK(errors[0].rows == 1);
  CHECK(errors[0].median == approx(0.5));
  CHECK(errors[0].worst == approx(-0.5));
  CHECK(errors[0].low == approx(2));
  CHECK(errors[1].kind == "disk");
  CHECK(errors[1].high == approx(1.5));
  CHECK(errors[2].kind == "all");
  CHECK(errors[2].rows == 2);
  CHECK(errors_yaml(errors).find("  disk: {rows: 1, low: 1.500, high: 1.500}\n") != std::string::npos);
}

TEST_CASE("published case: strategies in another order are named, and what is less than 3 % apart is not") {
  CHECK(wrong_orders(of_rows({row("a", 1, 2), row("b", 1.1, 3)})).empty());
  CHECK(wrong_orders(of_rows({row("a", 1, 3), row("b", 1.1, 2)})) ==
        std::vector<std::string>{"c, m, t: a and b"});
  CHECK(wrong_orders(of_rows({row("a", 1, 3), row("b", 1.02, 2)})).empty());
  CaseRow ratio = row("a", 1.3, 0.9);
  ratio.over = "b";
  CHECK(wrong_orders(of_rows({ratio})) == std::vector<std::string>{"c, m, t: a and b"});
}

TEST_CASE("specmoe validate: --published is within 15 % in the median, and errors.yaml says what it gives") {
  const TemporaryFolder folder;
  const CommandResult result =
      specmoe_command(folder, "validate --published --out runs.csv --errors errors.yaml");
  CHECK_MESSAGE(result.status == 0, result.err);
  CHECK(result.out.find("class") != std::string::npos);
  CHECK(read_text(folder / "runs.csv").find("pre-gated,link,\"A100\",\"Switch-base-128\"") !=
        std::string::npos);
  const Yaml now = Yaml::load(folder / "errors.yaml");
  const Yaml shipped = Yaml::load(home() / "validation/published/errors.yaml");
  for (const auto& [kind, entry] : shipped["classes"].entries())
    for (const char* key : {"rows", "low", "high"})
      CHECK(now["classes"][kind][key].number(0, 1e6) ==
            doctest::Approx(entry[key].number(0, 1e6)).epsilon(0.02));
}
