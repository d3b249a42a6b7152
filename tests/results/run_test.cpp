// A scenario from file to results.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "models/moe/routing/routing_trace.hpp"
#include "sim/report/report.hpp"
#include "sim/results/run.hpp"
#include "tests/cli/command.hpp"

using namespace specmoe;

namespace {

const std::string kScenario = R"(name: small
description: two strategies
seed: 3
platform: rtx4090
model: qwen1.5-moe-a2.7b
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0.1}
workload: {requests: 2, batch: 2, prompt_tokens: 4, output_tokens: 6}
cache: {capacity: 2 GB, eviction: lru}
strategies:
  - name: on-demand
  - name: oracle
    prefetch: {predictor: oracle, window: 2}
)";

struct Ran {
  explicit Ran(const TemporaryFolder& folder, const std::string& out = "out", bool timeline = false)
      : scenario(Scenario::load(folder.write("small.yaml", kScenario))) {
    RunOptions options;
    options.out = folder / out;
    if (timeline) options.timeline = folder / "timeline.json";
    options.timeline_steps = 2;
    file = run_scenario(scenario, options);
  }
  Scenario scenario;
  std::filesystem::path file;
};

}  // namespace

TEST_CASE("results: the same scenario and seed write the same bytes") {
  const TemporaryFolder folder;
  const Ran first(folder, "a"), second(folder, "b");
  CHECK(read_text(first.file) == read_text(second.file));
  CHECK(read_text(first.file).size() > 1000);
}

TEST_CASE("results: steps, layers, links and memory of a run add up") {
  const TemporaryFolder folder;
  const Ran ran(folder);
  const H5File file = H5File::open(ran.file);
  CHECK(file.read_strings("/scenario").at(0) == kScenario);
  const ResultsOverview overview = ResultsOverview::read(ran.file);
  REQUIRE(overview.runs.size() == 2);
  for (const auto& [name, summary] : overview.runs) {
    CAPTURE(name);
    const std::string run = "/runs/" + name;
    const auto column = [&](const std::string& path) { return file.read<std::int64_t>(run + path); };
    const auto sum = [](const std::vector<std::int64_t>& v) {
      return std::accumulate(v.begin(), v.end(), std::int64_t{0});
    };
    // One prefill step and six of decoding.
    CHECK(file.read<std::int16_t>(run + "/steps/phase") == std::vector<std::int16_t>{0, 1, 1, 1, 1, 1, 1});
    CHECK(summary.steps == 7);
    CHECK(summary.decoded_tokens == 12);
    CHECK(sum(column("/steps/accesses")) == summary.counters.accesses);
    CHECK(sum(column("/layers/accesses")) == summary.counters.accesses);
    CHECK(sum(column("/layers/hits")) == summary.counters.hits);
    CHECK(file.shape(run + "/layers/duration") == std::vector<std::int64_t>{7, 24});
    // Expert bytes in, and nothing else this way.
    CHECK(column("/links/bytes").at(0) ==
          (summary.counters.demand_bytes + summary.counters.prefetch_bytes).count);
    CHECK(column("/links/copies").at(0) == summary.counters.misses + summary.counters.issued);
    // The routing comes back once a layer and step: 7 steps x 24 layers.
    CHECK(column("/links/copies").at(1) == 7 * 24);
    const auto duration = file.read<double>(run + "/steps/duration");
    const auto path = file.read<double>(run + "/steps/critical_path");
    const auto stall = file.read<double>(run + "/steps/exposed_stall");
    for (std::size_t i = 0; i < duration.size(); ++i)
      CHECK(duration[i] == doctest::Approx(path[i] + stall[i]));
    CHECK(summary.tpot ==
          doctest::Approx(
              (duration[1] + duration[2] + duration[3] + duration[4] + duration[5] + duration[6]) / 6));
    CHECK(summary.ttft == doctest::Approx(duration[0]));
    CHECK(summary.tokens_per_second == doctest::Approx(2 / summary.tpot));
    // The blocks of a step end one after the other, the last before the head.
    const auto layers = file.read<float>(run + "/layers/duration");
    for (std::size_t step = 0; step < 7; ++step) {
      double blocks = 0;
      for (std::size_t i = 0; i < 24; ++i) blocks += static_cast<double>(layers[step * 24 + i]);
      CHECK(blocks < duration[step]);
      CHECK(blocks > 0.5 * duration[step]);
    }
    CHECK(summary.peak_gpu_memory <= Bytes{24'000'000'000});
    CHECK(summary.gpu_utilisation > 0);
    CHECK(summary.gpu_utilisation < 1);
  }
  CHECK(overview.runs[0].second.counters.prefetch_bytes == Bytes{0});
  CHECK(overview.runs[1].second.counters.prefetch_bytes > Bytes{0});
  CHECK(overview.runs[1].second.tpot < overview.runs[0].second.tpot);
}

TEST_CASE(
    "results: CPU, low precision, skips, dropped prefetches and the host's cache have columns where they "
    "occur") {
  const TemporaryFolder folder;
  TraceHeader header;
  header.layers = 24;
  header.experts = 60;
  header.top_k = 4;
  header.model = header.source = header.recorder = "made up";
  header.has_weights = true;
  {
    TraceWriter trace(folder / "weights.h5", header);
    trace.begin_request(1);
    std::vector<std::int16_t> experts;
    std::vector<float> weights;
    for (int layer = 0; layer < 24; ++layer)
      for (int rank = 0; rank < 4; ++rank) {
        experts.push_back(static_cast<std::int16_t>((layer + 7 * rank) % 60));
        weights.push_back(std::array{0.5F, 0.25F, 0.17F, 0.08F}[static_cast<std::size_t>(rank)]);
      }
    for (int row = 0; row < 4; ++row) {
      trace.add_row(row == 0, experts, weights);
      for (std::int16_t& expert : experts) expert = static_cast<std::int16_t>((expert + 1) % 60);
    }
    trace.finish();
  }
  const std::string text = R"(name: misses
seed: 3
platform: rtx4090
model: qwen1.5-moe-a2.7b
routing: {trace: weights.h5}
workload: {requests: 1, batch: 1}
cache: {capacity: 2 GB, eviction: lru}
strategies:
  - name: plain
  - name: hobbit
    miss: {format: int4, thresholds: [0.6, 0.9]}
  - name: split
    miss: {compute: split}
  - name: disk
    placement: {experts: nvme}
    host_cache: {capacity: 4 GB}
    transfer: {pieces: matrices}
)";
  const Scenario scenario = Scenario::load(folder.write("misses.yaml", text));
  RunOptions options;
  options.out = folder / "out";
  const ResultsOverview overview = ResultsOverview::read(run_scenario(scenario, options));
  REQUIRE(overview.runs.size() == 4);
  const Counters& plain = overview.runs[0].second.counters;
  const Counters& hobbit = overview.runs[1].second.counters;
  const Counters& split = overview.runs[2].second.counters;
  const Counters& disk = overview.runs[3].second.counters;
  CHECK(plain.on_cpu + plain.low_pairs + plain.skipped + plain.host_misses == 0);
  // s = 0, 0.5, 0.75, 0.92: full, full, low, nothing, as often as they are missing
  CHECK(hobbit.skipped_pairs == hobbit.skipped);
  CHECK(hobbit.skipped > 0);
  CHECK(hobbit.low_pairs > 0);
  CHECK(hobbit.demand_bytes < plain.demand_bytes);
  CHECK(split.on_cpu > 0);
  CHECK(split.on_cpu < split.misses);
  CHECK(disk.disk_bytes == scenario.model.expert_bytes() * disk.host_misses);
  const std::string table = console_table(overview);
  for (const char* column : {"on CPU", "low", "skipped", "host hit", "disk"})
    CHECK_MESSAGE(table.find(std::string(column) + ": ") != std::string::npos, column);
  CHECK(table.find("dropped") == std::string::npos);
  // Utilisation is the GPU's: it has fewer kernels to run when the CPU takes some.
  CHECK(overview.runs[2].second.gpu_utilisation < 1);
}

TEST_CASE("results: what was simulated before an interruption is not simulated again") {
  const TemporaryFolder folder;
  const Scenario scenario = Scenario::load(folder.write("small.yaml", kScenario));
  RunOptions options;
  options.out = folder / "out";
  options.say = [](const std::string& line) {
    if (line == "on-demand: simulated") throw std::runtime_error("interrupted");
  };
  CHECK_THROWS_WITH(run_scenario(scenario, options), "interrupted");
  CHECK_FALSE(std::filesystem::exists(folder / "out/results.h5"));
  std::vector<std::string> said;
  options.say = [&](const std::string& line) { said.push_back(line); };
  const auto file = run_scenario(scenario, options);
  CHECK(std::count(said.begin(), said.end(), "on-demand: already simulated") == 1);
  CHECK(read_text(file) == read_text(Ran(folder, "whole").file));

  // Another scenario in the same folder takes nothing over.
  std::filesystem::create_directories(folder / "out/parts");
  folder.write("out/parts/0.h5", "left by something else");
  said.clear();
  run_scenario(scenario, options);
  CHECK(std::count(said.begin(), said.end(), "on-demand: simulated") == 1);
}

TEST_CASE(
    "results: the timeline is a Chrome trace with a row a stream and link, and work in a row never "
    "overlaps") {
  const TemporaryFolder folder;
  const Ran ran(folder, "out", true);
  const auto json = nlohmann::json::parse(read_text(folder / "timeline.json"));
  std::map<std::pair<int, int>, std::string> rows;
  std::map<std::pair<int, int>, double> until;
  std::size_t kernels = 0, copies = 0, named = 0;
  auto events = json["traceEvents"];
  std::stable_sort(events.begin(), events.end(),
                   [](const auto& a, const auto& b) { return a.value("ts", -1.0) < b.value("ts", -1.0); });
  for (const auto& event : events) {
    if (event["ph"] == "M") {
      if (event["name"] == "thread_name") rows[{event["pid"], event["tid"]}] = event["args"]["name"];
      continue;
    }
    const std::pair<int, int> row{event["pid"], event["tid"]};
    CHECK(event["ts"].get<double>() >= until[row] - 0.002);  // written in ns
    until[row] = event["ts"].get<double>() + event["dur"].get<double>();
    (event["cat"] == "kernel" ? kernels : copies) += 1;
    named += std::string(event["name"]).find(" L") != std::string::npos;
  }
  CHECK(kernels > 500);
  CHECK(copies > 50);
  CHECK(named > kernels / 2);
  std::vector<std::string> first;
  for (const auto& [row, name] : rows)
    if (row.first == 0) first.push_back(name);
  CHECK(first == std::vector<std::string>{"gpu compute", "gpu expert copies", "pcie: dram -> vram",
                                          "pcie: vram -> dram", "m2: nvme -> dram", "m2: dram -> nvme"});
  // The route back carries the routing of both recorded steps.
  CHECK(std::any_of(until.begin(), until.end(),
                    [&](const auto& row) { return rows[row.first] == "pcie: vram -> dram"; }));
}

TEST_CASE("report: json and csv hold every number of the summary") {
  const TemporaryFolder folder;
  const Ran ran(folder);
  const ResultsOverview overview = ResultsOverview::read(ran.file);
  const auto json = nlohmann::json::parse(as_json(overview));
  CHECK(json["runs"].size() == 2);
  CHECK(json["runs"][1]["strategy"] == "oracle");
  CHECK(json["runs"][1]["tpot"].get<double>() == doctest::Approx(overview.runs[1].second.tpot));
  std::istringstream csv(as_csv(overview));
  std::string head, line;
  std::getline(csv, head);
  const auto columns = std::count(head.begin(), head.end(), ',');
  int lines = 0;
  for (; std::getline(csv, line); ++lines) CHECK(std::count(line.begin(), line.end(), ',') == columns);
  CHECK(lines == 2);
  CHECK(static_cast<std::size_t>(columns) == json["runs"][0].size() - 1);
  CHECK(console_table(overview).find("on-demand") != std::string::npos);
}

TEST_CASE("report: what could not be measured is null, empty and a dash") {
  ResultsOverview overview;
  overview.runs.emplace_back("only", RunSummary{});
  overview.runs[0].second.ttft = std::nan("");
  CHECK(nlohmann::json::parse(as_json(overview))["runs"][0]["ttft"].is_null());
  CHECK(as_csv(overview).find(",,") != std::string::npos);
  CHECK(console_table(overview).find(" - ") != std::string::npos);
}

TEST_CASE("report: a file that is no results file is refused") {
  const TemporaryFolder folder;
  { H5File::create(folder / "other.h5"); }
  CHECK_THROWS_WITH(ResultsOverview::read(folder / "other.h5"), doctest::Contains("is no results file"));
}

TEST_CASE("jetson: experts come from the disk, and nothing is copied back") {
  const TemporaryFolder folder;
  const Scenario scenario = Scenario::load(folder.write("orin.yaml", R"(name: orin
seed: 1
platform: jetson_agx_orin_32gb
model: qwen1.5-moe-a2.7b
routing: {generate: {zipf: 0.5, reuse: 0.3, correlation: 0}}
workload: {requests: 1, batch: 1, prompt_tokens: 2, output_tokens: 4}
cache: {capacity: 2 GB}
)"));
  RunOptions options;
  options.out = folder / "out";
  const auto file = run_scenario(scenario, options);
  const H5File results = H5File::open(file);
  const RunSummary s = read_summary(results, "/runs/orin");
  const auto names = results.read_strings("/runs/orin/links/name");
  const auto bytes = results.read<std::int64_t>("/runs/orin/links/bytes");
  REQUIRE(names == std::vector<std::string>{"m2", "m2", "nvme"});
  CHECK(bytes[0] == s.counters.demand_bytes.count);
  CHECK(bytes[1] == 0);
  CHECK(bytes[2] == s.counters.demand_bytes.count);
  // A missing expert of 17.3 MB takes 80 us + 17.3 MB / 6.94 GB/s = 2.57 ms.
  CHECK(s.tpot > 2.57e-3);
}

TEST_CASE("encoder-decoder: prefill runs the encoder, decoding the decoder") {
  const TemporaryFolder folder;
  const Scenario scenario = Scenario::load(folder.write("switch.yaml", R"(name: switch
seed: 1
platform: rtx4090
model: switch-base-128
routing: {generate: {zipf: 0.5, reuse: 0.3, correlation: 0}}
workload: {requests: 1, batch: 1, prompt_tokens: 8, output_tokens: 4}
)"));
  RunOptions options;
  options.out = folder / "out";
  const auto file = run_scenario(scenario, options);
  const H5File results = H5File::open(file);
  const auto accesses = results.read<std::int32_t>("/runs/switch/layers/accesses");
  REQUIRE(accesses.size() == 5 * 12);
  for (std::size_t step = 0; step < 5; ++step)
    for (std::size_t layer = 0; layer < 12; ++layer)
      CHECK((accesses[step * 12 + layer] > 0) == ((step == 0) == (layer < 6)));
  const RunSummary s = read_summary(results, "/runs/switch");
  const auto duration = results.read<double>("/runs/switch/steps/duration");
  CHECK(s.ttft >= duration[0] + duration[1]);  // the first token comes from the decoder
}

TEST_CASE("scenario: experts may have the sizes that the trace's engine stored, layer by layer") {
  const TemporaryFolder folder;
  // Qwen1.5-MoE has 24 layers; the last one is stored in twice the bytes.
  std::vector<std::int64_t> bytes(24, 1'000'000);
  bytes[23] = 2'000'000;
  TraceHeader header;
  header.layers = 24;
  header.experts = 60;
  header.top_k = 4;
  header.expert_bytes = bytes;
  {
    TraceWriter writer(folder / "t.h5", header);
    writer.begin_request(1);
    std::vector<std::int16_t> row;
    for (int layer = 0; layer < 24; ++layer) row.insert(row.end(), {0, 1, 2, 3});
    writer.add_row(false, row);
    writer.finish();
  }
  const Scenario scenario = Scenario::load(folder.write("s.yaml", R"(name: sizes
seed: 1
platform: rtx4090
model: qwen1.5-moe-a2.7b
routing: {trace: t.h5}
workload: {requests: 1, batch: 1, prefill: false}
placement: {expert_bytes: trace}
)"));
  RunOptions options;
  options.out = folder / "out";
  const RunSummary s = read_summary(H5File::open(run_scenario(scenario, options)), "/runs/sizes");
  CHECK(s.counters.demand_bytes == Bytes{4 * (23 * 1'000'000 + 2'000'000)});
}
