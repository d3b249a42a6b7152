#include "validation/compare/comparison.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "sim/base/input_error.hpp"
#include "sim/base/plot.hpp"
#include "tests/approx.hpp"
#include "tests/cli/command.hpp"
#include "validation/compare/page.hpp"
#include "validation/compare/quoted.hpp"

using namespace specmoe;

namespace {

std::vector<Comparison> examples() {
  return {{"h100", "kernels", "gemm", "m 1", 10e-6, 11e-6},                   // +10 %, 1 us
          {"h100", "kernels", "gemm", "m 2", 20e-6, 19e-6},                   // -5 %, 1 us
          {"h100", "copies", "pinned in", "4 KiB", 4e-6, 6e-6},               // +50 %, 2 us
          {"h100", "kernels", "gemm", "m 4", 40e-6, 28e-6},                   // -30 %, 12 us
          {"h100", "kernels", "attention", "a < b & \"c\"", 100e-6, 120e-6},  // +20 %, 20 us
          {"h200", "kernels", "gemm", "m 1", 10e-6, 10e-6}};
}

std::vector<Bound> bounds(const std::string& text) {
  const TemporaryFolder folder;
  return read_bounds(Yaml::load(folder.write("bounds.yaml", "bounds:\n" + text)));
}

}  // namespace

TEST_CASE("summaries: mean, median and worst of each group and of all, in order of first appearance") {
  const std::vector<ErrorSummary> s = summarize(examples());
  REQUIRE(s.size() == 7);
  const auto named = [&](std::size_t i) { return s[i].machine + " " + s[i].kind + " " + s[i].group; };
  CHECK(named(0) == "h100 kernels gemm");
  CHECK(named(1) == "h100 kernels attention");
  CHECK(named(2) == "h100 kernels all");
  CHECK(named(3) == "h100 copies pinned in");
  CHECK(named(4) == "h100 copies all");
  CHECK(named(5) == "h200 kernels gemm");
  CHECK(named(6) == "h200 kernels all");
  CHECK(s[0].points == 3);
  CHECK(s[0].mean_absolute == specmoe::approx(0.15));  // (10 + 5 + 30) / 3 %
  CHECK(s[0].median_absolute == specmoe::approx(0.10));
  CHECK(s[0].worst == specmoe::approx(-0.30));
  CHECK(s[0].worst_label == "m 4");
  CHECK(s[0].mean_absolute_seconds == specmoe::approx(14e-6 / 3));  // (1 + 1 + 12) / 3 us
  CHECK(s[0].median_absolute_seconds == specmoe::approx(1e-6));
  CHECK(s[2].points == 4);
  CHECK(s[2].mean_absolute == specmoe::approx(0.1625));  // (10 + 5 + 30 + 20) / 4 %
  CHECK(s[2].median_absolute == specmoe::approx(0.15));  // of 5, 10, 20, 30 %
}

TEST_CASE("summaries: a point without a time is our own fault and named") {
  for (const double measured : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_WITH_AS(summarize({{"h100", "runs", "x", "step 3", measured, 1}}),
                         doctest::Contains("step 3"), std::logic_error);
}

TEST_CASE(
    "bounds: of each measure, those that hold are silent and those that do not are named with their line") {
  const std::vector<ErrorSummary> s = summarize(examples());
  CHECK(
      check(s,
            bounds(
                "  - {machine: h100, kind: kernels, group: gemm, measure: mean, at_most: 0.151}\n"
                "  - {machine: h100, kind: kernels, group: gemm, measure: median, at_most: 0.101}\n"
                "  - {machine: h100, kind: kernels, group: gemm, measure: worst, at_most: 0.301}\n"
                "  - {machine: h100, kind: kernels, group: gemm, measure: median_seconds, at_most: 1.01 us}\n"
                "  - {machine: '*', kind: kernels, group: all, measure: mean, at_most: 0.163}\n"))
          .empty());
  const auto broken = check(
      s,
      bounds("  - {machine: h100, kind: kernels, group: gemm, measure: mean, at_most: 0.149}\n"
             "  - {machine: h100, kind: kernels, group: gemm, measure: median, at_most: 0.099}\n"
             "  - {machine: h100, kind: kernels, group: gemm, measure: worst, at_most: 0.299}\n"
             "  - {machine: h100, kind: kernels, group: gemm, measure: median_seconds, at_most: 0.99 us}\n"));
  REQUIRE(broken.size() == 4);
  CHECK(
      broken[0].text().ends_with("bounds.yaml:2: h100, kernels, gemm: mean 15.0 %; expected at most 14.9 %"));
  CHECK(broken[2].text().ends_with(
      "bounds.yaml:4: h100, kernels, gemm: worst 30.0 %; expected at most 29.9 %"));
  CHECK(broken[3].text().ends_with(
      "bounds.yaml:5: h100, kernels, gemm: median 1.00 us; expected at most 0.99 us"));
}

TEST_CASE("bounds: the star is every machine, and every group but all") {
  const std::vector<ErrorSummary> s = summarize(examples());
  // h100 gemm 15 %, attention 20 %; all of h100's kernels 16.25 %; h200 gemm 0 %
  const auto broken =
      check(s, bounds("  - {machine: '*', kind: kernels, group: '*', measure: mean, at_most: 0.14}\n"));
  REQUIRE(broken.size() == 2);
  CHECK(broken[0].summary->group == "gemm");
  CHECK(broken[1].summary->group == "attention");
}

TEST_CASE("bounds: one that applies to nothing does not hold") {
  const auto broken =
      check(summarize(examples()),
            bounds("  - {machine: h100, kind: kernels, group: grouped, measure: mean, at_most: 1}\n"));
  REQUIRE(broken.size() == 1);
  CHECK(!broken[0].summary);
  CHECK(broken[0].text().find("applies to nothing") != std::string::npos);
}

TEST_CASE("bounds: unknown measures, times without unit and shares with one are input errors") {
  const std::string start = "  - {machine: h100, kind: kernels, group: gemm, measure: ";
  CHECK_THROWS_AS(bounds("  []\n"), InputError);  // would hold whatever happens
  CHECK_THROWS_AS(bounds(start + "most, at_most: 1}\n"), InputError);
  CHECK_THROWS_AS(bounds(start + "median_seconds, at_most: 1}\n"), InputError);
  CHECK_THROWS_AS(bounds(start + "mean, at_most: 5 %}\n"), InputError);
  CHECK_THROWS_AS(bounds(start + "mean, at_most: 1, atmost: 1}\n"), InputError);
}

TEST_CASE("summary table: a line a summary, with its bounds") {
  const std::string table = summary_table(
      summarize(examples()),
      bounds("  - {machine: h100, kind: kernels, group: gemm, measure: mean, at_most: 0.2}\n"
             "  - {machine: h100, kind: kernels, group: gemm, measure: worst, at_most: 0.2}\n"));
  CHECK(std::count(table.begin(), table.end(), '\n') == 8);  // the headings and 7 summaries
  CHECK(table.find("mean 20.0 % holds, worst 20.0 % BROKEN") != std::string::npos);
}

TEST_CASE("comparisons file: what is written is read again") {
  const TemporaryFolder folder;
  const std::vector<Comparison> all = examples();
  write_comparisons(all, folder / "validation.h5");
  const std::vector<Comparison> again = read_comparisons(folder / "validation.h5");
  REQUIRE(again.size() == all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(again[i].machine == all[i].machine);
    CHECK(again[i].kind == all[i].kind);
    CHECK(again[i].group == all[i].group);
    CHECK(again[i].label == all[i].label);
    CHECK(again[i].measured == all[i].measured);
    CHECK(again[i].simulated == all[i].simulated);
  }
}

TEST_CASE("validation page: every label escaped, in both plots, and nothing from elsewhere") {
  const std::vector<Comparison> all = examples();
  const std::string page = validation_page(all, summarize(all), {}, "a < b", {"not measured: <card>"});
  for (const char* text : {"m 1", "m 2", "m 4", "4 KiB", "a &lt; b &amp; &quot;c&quot;",
                           "<title>a &lt; b</title>", "not measured: &lt;card&gt;"})
    CHECK_MESSAGE(page.find(text) != std::string::npos, text);
  CHECK(page.find("a < b &") == std::string::npos);
  std::size_t circles = 0;
  for (std::size_t at = page.find("<circle"); at != std::string::npos; at = page.find("<circle", at + 1))
    ++circles;
  CHECK(circles == 2 * all.size());
  CHECK(page.find("src=") == std::string::npos);
  CHECK(page.find("href=") == std::string::npos);
}

TEST_CASE("plots: points of time 0 are counted instead of drawn, and times read with their unit") {
  const std::string svg =
      scatter({{1e-6, 2e-6, 0, "a"}, {0, 1e-6, 0, "b"}}, {"t", "measured", "fitted", {"g"}});
  CHECK(svg.find("a: measured 1 us, fitted 2 us, +100.0 %") != std::string::npos);
  CHECK(svg.find("1 points of time 0 left out") != std::string::npos);
  CHECK(duration_text(999e-9) == "999 ns");
  CHECK(duration_text(1e-6) == "1 us");
  CHECK(duration_text(12.34e-3) == "12.3 ms");
  CHECK(duration_text(2) == "2 s");
}

TEST_CASE(
    "quoted figures: a copy at a rate, a product at a rate and a decode step, beside what is simulated") {
  const TemporaryFolder folder;
  const auto file = folder.write("figures.yaml", R"(figures:
  - {platform: rtx4090, group: copies, label: in, copy: in, size: 26 MB, bandwidth: 13 GB/s, source: test}
  - {platform: rtx4090, group: copies, label: both, copy: in, both_ways: true, size: 260 MB, bandwidth: 13 GB/s, source: test}
  - {platform: rtx4090, group: gemm, label: square, gemm: [1000, 1000, 1000], flop_rate: 100 TFLOP/s, source: test}
  - {platform: a100_sxm_80gb, group: gemm, label: elsewhere, gemm: [1, 1, 1], flop_rate: 1 TFLOP/s, source: test}
)");
  const std::vector<Comparison> all = compare_quoted("rtx4090", file);
  REQUIRE(all.size() == 3);
  CHECK(all[0].measured == specmoe::approx(2e-3));  // 26 MB / 13 GB/s
  // four in a row at 26 GB/s: 1 ms each, and a latency and a half_size between them
  CHECK(all[0].simulated == specmoe::approx(1e-3).epsilon(0.02));
  // both ways have 38 GB/s together: 260 MB / 19 GB/s = 13.7 ms
  CHECK(all[1].simulated == specmoe::approx(13.7e-3).epsilon(0.02));
  CHECK(all[2].measured == specmoe::approx(20e-6));  // 2e9 / 100e12
  CHECK_THROWS_AS(
      compare_quoted("rtx4090", folder.write("x.yaml",
                                             "figures:\n  - {platform: rtx4091, group: a, label: b, source: "
                                             "c, gemm: [1, 1, 1], flop_rate: 1 TFLOP/s}\n")),
      InputError);
}

TEST_CASE("specmoe validate: broken bounds end with 1, bounds that hold with 0, wrong arguments with 2") {
  const TemporaryFolder folder;
  const std::string how = "validate --machine a100_sxm_80gb --tables nowhere --bounds bounds.yaml";
  folder.write("bounds.yaml",
               "bounds:\n  - {machine: '*', kind: quoted, group: gemm, measure: worst, at_most: 0.0001}\n");
  CommandResult result = specmoe_command(folder, how);
  CHECK(result.status == 1);
  CHECK(result.err.find("bounds.yaml:2: a100_sxm_80gb, quoted, gemm: worst") != std::string::npos);
  CHECK(result.out.find("BROKEN") != std::string::npos);
  CHECK(result.out.find("published kernel times: not here (looked in nowhere)") != std::string::npos);
  CHECK(result.out.find("a100_sxm_80gb: not measured here") != std::string::npos);

  folder.write("bounds.yaml",
               "bounds:\n  - {machine: '*', kind: quoted, group: all, measure: worst, at_most: 100}\n");
  result = specmoe_command(folder, how + " --page page.html --out points.h5");
  CHECK(result.status == 0);
  CHECK(read_text(folder / "page.html").find("</html>") != std::string::npos);
  CHECK(!read_comparisons(folder / "points.h5").empty());

  CHECK(specmoe_command(folder, "validate --machine h101").status == 2);
  result = specmoe_command(folder, "validate --measurements nowhere");
  CHECK(result.status == 2);
  CHECK(result.err == "nowhere: no such folder; expected a folder of measurements\n");
  result = specmoe_command(folder, "validate --bounds nowhere.yaml");
  CHECK(result.status == 2);
  CHECK(result.err == "nowhere.yaml: cannot be read; expected a YAML file\n");  // before anything is compared
}
