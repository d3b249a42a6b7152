// Energy from a scenario to its results.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <sstream>

#include "sim/base/build_info.hpp"
#include "sim/report/report.hpp"
#include "sim/results/run.hpp"
#include "tests/approx.hpp"
#include "tests/cli/command.hpp"

using namespace specmoe;

namespace {

std::filesystem::path run_on(const TemporaryFolder& folder, const std::string& platform,
                             const std::string& out) {
  const Scenario scenario = Scenario::load(folder.write(out + ".yaml", R"(name: small
seed: 3
platform: )" + platform + R"(
model: qwen1.5-moe-a2.7b
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0.1}
workload: {requests: 2, batch: 2, prompt_tokens: 4, output_tokens: 6}
cache: {capacity: 2 GB, eviction: lru}
strategies:
  - name: on-demand
)"));
  RunOptions options;
  options.out = folder / out;
  return run_scenario(scenario, options);
}

RunSummary summary_of(const std::filesystem::path& results) {
  return ResultsOverview::read(results).runs.at(0).second;
}

// The shipped RTX 4090 without its blocks "power:".
std::string without_power() {
  std::istringstream in(read_text(home() / "platforms/rtx4090.yaml"));
  std::string text;
  int skip = 0;
  for (std::string line; std::getline(in, line);) {
    if (line == "    power:") skip = 4;
    if (skip > 0)
      --skip;
    else
      text += line + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("results: energy of devices, links and memories adds up, and decoding's is that of its steps") {
  const TemporaryFolder folder;
  const auto results = run_on(folder, "rtx4090", "metered");
  const RunSummary summary = summary_of(results);
  const H5File file = H5File::open(results);
  const std::string run = "/runs/on-demand";
  const auto column = [&](const char* path) { return file.read<double>(run + path); };

  CHECK(file.read_strings(run + "/energy/name") == std::vector<std::string>{"gpu", "cpu"});
  const auto drawn = column("/energy/total"), idle = column("/energy/idle");
  CHECK(drawn[0] > 1.01 * idle[0]);
  CHECK(drawn[1] == approx(idle[1]));  // no kernel ran there
  CHECK(idle[0] == approx(60 * summary.total_time));

  // PCIe: 10 pJ/bit are 80 pJ/B; the disk's link says nothing.
  const auto links = column("/links/energy");
  const auto bytes = file.read<std::int64_t>(run + "/links/bytes");
  CHECK(links[0] == approx(80e-12 * static_cast<double>(bytes[0])));
  CHECK(links[1] == approx(80e-12 * static_cast<double>(bytes[1])));
  CHECK(std::isnan(links[2]));
  CHECK(summary.energy == approx(drawn[0] + drawn[1] + links[0] + links[1]));
  // Nor does any memory; what crosses PCIe leaves or enters one.
  const auto moved = file.read<std::int64_t>(run + "/memories/bytes");
  CHECK(moved[0] == bytes[0] + bytes[1]);
  CHECK(moved[1] > moved[0]);  // kernels read too
  for (const double each : column("/memories/energy")) CHECK(std::isnan(each));

  const auto steps = column("/steps/energy");  // a prefill and six of decoding, two tokens each
  CHECK(std::accumulate(steps.begin(), steps.end(), 0.0) == approx(summary.energy).epsilon(1e-3));
  CHECK(summary.energy_per_token == approx(std::accumulate(steps.begin() + 1, steps.end(), 0.0) / 12));
  CHECK(console_table(ResultsOverview::read(results)).find("J/token") != std::string::npos);
}

TEST_CASE("results: a platform without power takes the same time, has no energy and no column for it") {
  const TemporaryFolder folder;
  const std::string bare_platform = folder.write("platform.yaml", without_power()).string();
  const auto bare = run_on(folder, bare_platform, "bare"), metered = run_on(folder, "rtx4090", "metered");
  CHECK(std::isnan(summary_of(bare).energy));
  CHECK(std::isnan(summary_of(bare).energy_per_token));
  CHECK(H5File::open(bare).read_strings("/runs/on-demand/energy/name").empty());
  CHECK(console_table(ResultsOverview::read(bare)).find("J/token") == std::string::npos);
  CHECK(summary_of(bare).total_time == summary_of(metered).total_time);
}
