// What the page is given, against the files that it comes from.
#include <doctest/doctest.h>
#include <hdf5.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/base/h5.hpp"
#include "sim/report/page_data.hpp"
#include "sim/report/page_json.hpp"
#include "sim/report/report.hpp"
#include "tests/approx.hpp"
#include "tests/cli/command.hpp"
#include "tests/moe/trace_helpers.hpp"
#include "tests/report/small_study.hpp"

using namespace specmoe;
using Json = nlohmann::ordered_json;

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
  - name: on-demand
  - name: two <b>
)";

}  // namespace

TEST_CASE("page: percentiles of step durations, and a distribution that ends with the longest") {
  // 1 .. 1000 ms in no order; quantiles are linear between neighbours: p50 = 1 + 0.5 x 999 = 500.5 ms.
  std::vector<double> durations;
  for (int i = 0; i < 1000; ++i) durations.push_back(1e-3 * ((i * 7) % 1000 + 1));
  const Json whole = distribution(durations, 1000), few = distribution(durations, 40);
  CHECK(whole["count"] == 1000);
  CHECK(whole["p50"].get<double>() == approx(0.5005));
  CHECK(whole["p999"].get<double>() == approx(0.999001));
  CHECK(whole["durations"].size() == 1000);
  CHECK(few["p50"] == whole["p50"]);
  CHECK(few["durations"].size() > 20);
  CHECK(few["durations"].size() <= 41);
  for (std::size_t i = 0; i < few["durations"].size(); ++i)  // the i-th shortest of 1000 is i ms
    CHECK(few["shares"][i].get<double>() == approx(few["durations"][i].get<double>()));
  CHECK(few["durations"].back() == 1.0);
}

TEST_CASE("page: numbers are rounded to seven digits, and what is none is null") {
  CHECK(rounded({0.1, 1234567.89, 0, std::nan(""), -2.00000001e-9, HUGE_VAL}).dump() ==
        "[0.1,1234568.0,0.0,null,-2e-09,null]");
  CHECK(distribution({}, 10)["p50"].is_null());
}

TEST_CASE("page: a run's numbers are those of results.h5, and its name cannot end the page's script") {
  const TemporaryFolder folder;
  folder.write("s.yaml", kScenario);
  REQUIRE(specmoe_command(folder, "run s.yaml --out out").status == 0);
  const std::string text = page_data({folder / "out/results.h5"});
  CHECK(text.find('<') == std::string::npos);
  const Json page = Json::parse(text);
  const Json& runs = page["results"][0]["runs"];
  REQUIRE(runs.size() == 2);
  CHECK(runs[1]["strategy"] == "two <b>");
  const ResultsOverview overview = ResultsOverview::read(folder / "out/results.h5");
  const Json& summary = runs[0]["summary"];
  CHECK(summary["tpot"] == overview.runs[0].second.tpot);
  CHECK(summary["misses"] == overview.runs[0].second.counters.misses);
  CHECK(runs[0]["batch"] == 2);
  CHECK(runs[0]["decode"]["count"] == 6);
  CHECK(runs[0]["decode"]["p50"] == overview.runs[0].second.tpot_p50);

  // The first prefill step and the first two decode steps, whose spans are whole.
  const Json& timeline = runs[0]["timeline"];
  REQUIRE(timeline["steps"].size() >= 3);
  const H5File file = H5File::open(folder / "out/results.h5");
  const auto durations = file.read<double>("/runs/on-demand/steps/duration");
  for (std::size_t i = 0; i < 3; ++i) {
    const Json& step = timeline["steps"][i];
    CHECK(step["step"] == i);
    CHECK(step["duration"] == durations[i]);
    CHECK(step["all"] == step["row"].size());
    CHECK(step["start"].size() == step["row"].size());
  }
  // Every kernel and copy of a step lies within it, but for what was under way at its ends.
  const Json& step = timeline["steps"][1];
  double busy = 0;
  for (std::size_t i = 0; i < step["row"].size(); ++i) {
    CHECK(step["start"][i].get<double>() < durations[1]);
    CHECK(step["start"][i].get<double>() + step["length"][i].get<double>() > 0);
    if (timeline["name"][step["row"][i].get<std::size_t>()] == "gpu compute")
      busy += step["length"][i].get<double>();
  }
  CHECK(busy > 0);
  CHECK(busy <= durations[1]);
}

TEST_CASE("page: a study's means are over the runs that were not refused, its intervals those of the file") {
  const TemporaryFolder folder;
  write_small_study(folder / "study.h5", "grid");
  const Json study = Json::parse(page_data({folder / "study.h5"}))["studies"][0];
  CHECK(study["baseline"] == "base");
  REQUIRE(study["cells"]["point"].size() == 8);
  CHECK(study["cells"]["strategy"][1] == "fast <b>");
  // Cell 2: point 1, s = 1: 10 x 2 x 1 = 20 and 21.
  CHECK(study["cells"]["tokens_per_second"][2] == 20.5);
  CHECK(study["cells"]["tokens_per_second_low"][2] == 19.5);
  CHECK(study["cells"]["ttft"][2].is_null());
  CHECK(study["means"]["peak_gpu_memory"][2] == 11e9);
  CHECK(study["means"]["peak_gpu_memory"][7] == 13e9);  // of one run; the other was refused
  CHECK(study["refused"].size() == 1);
  CHECK(study["refused"][0]["why"] == "does not fit");
  CHECK(study["decode"][7]["count"] == 3);
  CHECK(study["decode"][1]["count"] == 6);
  CHECK(study["decode"][1]["p50"].get<double>() == approx(4e-3));  // 2, 2, 4, 4, 6, 6 ms
  CHECK(study["points"]["price"][0].is_null());
}

TEST_CASE("page: steps that lie beyond their dataset are refused") {
  const TemporaryFolder folder;
  write_small_study(folder / "study.h5", "grid");
  H5File whole = H5File::open(folder / "study.h5"), broken = H5File::create(folder / "broken.h5");
  for (const std::string& name : whole.list("/"))
    if (name != "decode_steps") broken.copy_from(whole, "/" + name, "/" + name);
  for (const char* name : {"format", "specmoe", "study", "description", "baseline", "design"})
    broken.set("/", name, whole.get_string("/", name));
  broken.write("/decode_steps/first", whole.read<std::int64_t>("/decode_steps/first"));
  broken.write("/decode_steps/count", whole.read<std::int64_t>("/decode_steps/count"));
  broken.write("/decode_steps/duration", std::vector<float>{1, 2, 3});
  broken.flush();
  CHECK_THROWS_WITH(page_data({folder / "broken.h5"}), doctest::Contains("beyond /decode_steps/duration"));
}

TEST_CASE("page: a timeline whose steps reach beyond its spans, which read past their end, is refused") {
  const TemporaryFolder folder;
  folder.write("s.yaml", kScenario);
  REQUIRE(specmoe_command(folder, "run s.yaml --out out --no-report --timeline t.json").status == 0);
  const std::filesystem::path file = folder / "out/results.h5";
  const std::string path = "/runs/on-demand/timeline/steps/count";
  const auto count = H5File::open(file).read<std::int64_t>(path);
  const auto replaced = [&](std::vector<std::int64_t> with) {
    const hid_t id = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(id, path.c_str(), H5P_DEFAULT);
    H5Fclose(id);
    H5File::modify(file).write(path, with);
    return message_of([&] { page_data({file}); });
  };
  CHECK(replaced(count) == "");
  std::vector<std::int64_t> more = count;
  more.back() = INT64_MAX;
  CHECK(replaced(more).find("spans of a step lie beyond /spans") != std::string::npos);
  more.pop_back();
  CHECK(replaced(more).find("columns differ in length") != std::string::npos);
}

TEST_CASE("report command: beside its first file or where told, never over what it reads") {
  const TemporaryFolder folder;
  write_small_study(folder / "study.h5", "one-at-a-time");
  CHECK(specmoe_command(folder, "report study.h5").status == 0);
  const std::string page = read_text(folder / "report.html");
  CHECK(page.find("Chart.js v3") != std::string::npos);
  CHECK(page.find("\"study\":\"small\"") != std::string::npos);
  CHECK(specmoe_command(folder, "report study.h5 --out other.html").status == 0);
  CHECK(read_text(folder / "other.html") == page);
  CHECK(specmoe_command(folder, "report study.h5 --out study.h5").status == 2);
  CHECK(specmoe_command(folder, "report study.h5 --out nowhere/page.html").status == 2);
  const CommandResult other = specmoe_command(folder, "report other.html");
  CHECK(other.status == 2);
  { H5File::create(folder / "empty.h5"); }
  CHECK(specmoe_command(folder, "report empty.h5").err.find("is no results file and no study") !=
        std::string::npos);
}

TEST_CASE("run command: writes the page beside results.h5 unless told not to") {
  const TemporaryFolder folder;
  folder.write("s.yaml", kScenario);
  CHECK(specmoe_command(folder, "run s.yaml --out with").status == 0);
  CHECK(specmoe_command(folder, "run s.yaml --out without --no-report").status == 0);
  CHECK(std::filesystem::exists(folder / "with/report.html"));
  CHECK_FALSE(std::filesystem::exists(folder / "without/report.html"));
}
