// Bad input: each its one clear line on stderr and exit status 2.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "sim/base/random.hpp"
#include "tests/cli/command.hpp"

using namespace specmoe;

namespace {

const std::string kScenario = R"(name: base
seed: 1
platform: rtx4090
model: qwen1.5-moe-a2.7b
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0}
workload: {requests: 1, batch: 1, prompt_tokens: 4, output_tokens: 4}
placement: {experts: dram}
cache: {capacity: 2 GB, eviction: lru}
)";

// The scenario with one piece of text replaced.
std::string with(const std::string& from, const std::string& to) {
  std::string text = kScenario;
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

struct Case {
  std::string from, to;
  std::string says;  // must stand in the line
};

void refuses(const std::vector<Case>& cases) {
  const TemporaryFolder folder;
  for (const Case& c : cases) {
    CAPTURE(c.to);
    folder.write("bad.yaml", with(c.from, c.to));
    const CommandResult result = specmoe_command(folder, "run bad.yaml --out out");
    CHECK(result.status == 2);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_MESSAGE(result.err.find(c.says) != std::string::npos, result.err);
    CHECK(result.out.empty());
    CHECK_FALSE(std::filesystem::exists(folder / "out/results.h5"));
  }
}

}  // namespace

TEST_CASE("bad input: the scenario that the others are made from runs") {
  const TemporaryFolder folder;
  folder.write("good.yaml", kScenario);
  const CommandResult result = specmoe_command(folder, "run good.yaml --out out");
  CHECK_MESSAGE(result.status == 0, result.err);
  CHECK(std::filesystem::exists(folder / "out/results.h5"));
}

TEST_CASE("bad input: numbers that are negative, zero, absurd, not numbers or without unit") {
  refuses(
      {{"batch: 1", "batch: -1", "bad.yaml:7: workload.batch: \"-1\"; expected a whole number from 1"},
       {"batch: 1", "batch: 0", "workload.batch: \"0\"; expected a whole number from 1"},
       {"batch: 1", "batch: 1.5", "workload.batch: \"1.5\"; expected a whole number"},
       {"output_tokens: 4", "output_tokens: 99999999999", "workload.output_tokens"},
       {"capacity: 2 GB", "capacity: 2",
        "cache.capacity: \"2\"; expected a number with unit, e.g. \"9 GiB\""},
       {"capacity: 2 GB", "capacity: -2 GB", "cache.capacity: \"-2 GB\""},
       {"capacity: 2 GB", "capacity: 0 GB",
        "cache.capacity: \"0 GB\"; expected auto, or at least one expert"},
       {"capacity: 2 GB", "capacity: 2 GB/s", "cache.capacity: \"2 GB/s\"; expected a number with unit"},
       {"capacity: 2 GB", "capacity: nan GB", "cache.capacity: \"nan GB\""},
       {"capacity: 2 GB", "capacity: 900 GB", "cache.capacity: \"900 GB\"; expected auto, or at most the"},
       {"zipf: 0.5", "zipf: much", "routing.generate.zipf: \"much\"; expected a number from 0 to 10"},
       {"reuse: 0.3", "reuse: 1.3", "routing.generate.reuse: \"1.3\"; expected a number from 0 to 1"}});
}

TEST_CASE("bad input: unknown, missing and duplicate keys, cycles and broken YAML") {
  refuses({{"seed: 1", "sede: 1", "bad.yaml:2: sede: unknown key; expected \"seed\""},
           {"seed: 1\n", "", "seed: missing"},
           {"seed: 1", "seed: 1\nseed: 2", "bad.yaml:3: duplicate key \"seed\""},
           {"seed: 1", "seed: &a [*a]", "an alias refers to a node that contains it"},
           {"seed: 1", "seed: [1", "bad.yaml:"},
           {"cache: {capacity: 2 GB", "cache: {capacty: 2 GB",
            "cache.capacty: unknown key; expected \"capacity\""},
           {"  generate: {zipf: 0.5, reuse: 0.3, correlation: 0}", "  {}",
            "none or several of trace, profile and generate"}});
}

TEST_CASE("bad input: unknown names list the ones there are") {
  refuses(
      {{"rtx4090", "rtx4900", "rtx4090"},
       {"model: qwen1.5-moe-a2.7b", "model: qwen9", "qwen3-30b-a3b"},
       {"  generate: {zipf: 0.5, reuse: 0.3, correlation: 0}", "  profile: gpt-oss",
        "bad.yaml:6: routing.profile: no routing profile \"gpt-oss\"; expected a file, or one of"},
       {"  generate: {zipf: 0.5, reuse: 0.3, correlation: 0}", "  profile: gpt-oss-20b",
        "bad.yaml:6: routing.profile: 24 layers of 32 experts, top-4; expected qwen1.5-moe-a2.7b's 24 MoE"},
       {"eviction: lru", "eviction: lruu",
        "expected one of lru, lfu, lfu-ageing, lfru, fifo, random, belady, static, static-prefill, "},
       {"experts: dram", "experts: drum", "placement.experts: \"drum\"; expected one of"},
       {"experts: dram", "experts: vram", "expected a memory other than the GPU's"},
       {"eviction: lru", "eviction: static", "static eviction of an empty cache"},
       {"cache:", "engine: {grouped: true}\ncache:",
        "engine.grouped: \"true\"; expected one of never, faster, always"},
       {"cache:", "prefetch: {predictor: gate}\ncache:", "prefetch.accuracy: missing"},
       {"cache:", "prefetch: {predictor: gate, accuracy: 1.2}\ncache:", "prefetch.accuracy: \"1.2\""},
       {"cache:", "prefetch: {predictor: oracle, window: 99}\ncache:", "prefetch.window: \"99\""}});
}

TEST_CASE("bad input: how experts travel and what becomes of a miss") {
  refuses(
      {{"cache:", "transfer: {pieces: halves}\ncache:",
        "transfer.pieces: \"halves\"; expected whole, matrices, or at least 4096 B"},
       {"cache:", "transfer: {pieces: 0 B}\ncache:", "transfer.pieces: \"0 B\"; expected whole, matrices"},
       {"cache:", "transfer: {chunks: whole}\ncache:",
        "transfer.chunks: unknown key; expected one of pieces"},
       {"cache:", "miss: {compute: cheap}\ncache:",
        "miss.compute: \"cheap\"; expected one of gpu, cpu, cheaper, split"},
       {"cache:", "miss: {cpu_layers: 25}\ncache:",
        "miss.cpu_layers: \"25\"; expected a whole number from 0 to 24"},
       {"cache:", "miss: {format: bf16}\ncache:", "miss.format: \"bf16\"; expected one of fp8, int8, int4"},
       {"cache:", "miss: {format: int4}\ncache:",
        "miss.format: \"int4\"; expected routing with gate weights: a trace that recorded them"},
       {"cache:", "miss: {skip_below: 0.05}\ncache:",
        "miss.skip_below: \"0.05\"; expected routing with gate weights"},
       {"cache:", "miss: {skip_below: 2}\ncache:", "miss.skip_below: \"2\"; expected a number from 0 to 1"},
       {"cache:", "miss: {thresholds: [0.6, 0.9]}\ncache:",
        "miss.thresholds: a list; expected a format for what lies between them"},
       {"cache:", "host_cache: {capacity: 8 GB}\ncache:",
        "host_cache: experts wait in dram; expected a disk in placement.experts"},
       {"experts: dram}", "experts: nvme}\nhost_cache: {eviction: lru}", "host_cache.capacity: missing"},
       {"experts: dram}", "experts: nvme}\nhost_cache: {capacity: 2 GB}",
        "host_cache.capacity: \"2 GB\"; expected at least the GPU's cache and one expert: 2.02 GB"},
       {"experts: dram}", "experts: nvme}\nhost_cache: {capacity: 200 GB}",
        "host_cache.capacity: \"200 GB\"; expected at most the 124.00 GB of dram (76.00 GB over)"},
       {"experts: dram}", "experts: nvme}\nhost_cache: {capacity: 8 GB, eviction: belady}",
        "host_cache.eviction: \"belady\"; expected a policy that does not know the future"},
       {"experts: dram}", "experts: nvme}\nmiss: {compute: cpu}",
        "miss.compute: \"cpu\"; expected gpu, or experts in dram, or a host_cache before nvme"},
       {"experts: dram}", "experts: nvme}\nhost_cache: {capacity: 8 GB}\nmiss: {format: int4}",
        "miss.format: \"int4\"; expected no such key beside a host_cache"},
       {"cache:", "prefetch: {predictor: oracle, queue: true}\ncache:",
        "prefetch.queue: \"true\"; expected false, or a budget or step_budget"},
       {"cache:", "prefetch: {predictor: oracle, queue: true, budget: 1 MB}\ncache:",
        "prefetch.budget: \"1 MB\"; expected at least one piece: 17301504 B"},
       {"cache:", "prefetch: {predictor: oracle, step_budget: 0 B}\ncache:",
        "prefetch.step_budget: \"0 B\""}});
}

TEST_CASE("bad input: a CPU without kernels, or in the GPU's memory, computes no experts") {
  const TemporaryFolder folder;
  std::string platform = read_text(std::filesystem::path(SPECMOE_SOURCE_DIR) / "platforms/rtx4090.yaml");
  const std::size_t calls = platform.rfind("    host_calls:");
  folder.write("mute.yaml", platform.substr(0, calls));
  std::string scenario = with("platform: rtx4090", "platform: mute.yaml");
  folder.write("bad.yaml", scenario + "miss: {compute: cheaper}\n");
  CommandResult result = specmoe_command(folder, "run bad.yaml --out out");
  CHECK(result.status == 2);
  CHECK_MESSAGE(result.err.find("expected gpu: rtx4090 has no kernels of its CPU (devices.cpu.kernels)") !=
                    std::string::npos,
                result.err);
}

TEST_CASE("bad input: policies and predictors are told what they declare, within its range") {
  refuses({{"eviction: lru", "eviction: {policy: mrs, alfa: 0.5}",
            "bad.yaml:9: cache.eviction.alfa: unknown key; expected \"alpha\""},
           {"eviction: lru", "eviction: {policy: mrs, alpha: 1.5}",
            "cache.eviction.alpha: \"1.5\"; expected a number from 0 to 1"},
           {"eviction: lru", "eviction: {policy: lfu-ageing, period: 0.5}",
            "cache.eviction.period: \"0.5\"; expected a whole number from 1"},
           {"eviction: lru", "eviction: {policy: lru, alpha: 0.5}", "cache.eviction.alpha: unknown key"},
           {"eviction: lru", "eviction: {alpha: 0.5}", "cache.eviction.policy: missing"},
           {"eviction: lru", "eviction: lru, start: popularity",
            "expected one of empty, popular, frequency, uniform"},
           {"cache:", "prefetch: {predictor: {name: intelligent, confidence: -1}}\ncache:",
            "prefetch.predictor.confidence: \"-1\"; expected a number from 0 to 1"},
           {"cache:", "prefetch: {predictor: external}\ncache:", "expected {name: external, file: ...}"},
           {"cache:", "prefetch: {predictor: {name: external}}\ncache:", "prefetch.predictor.file: missing"},
           {"cache:", "prefetch: {predictor: {name: external, file: none.h5}}\ncache:",
            "none.h5: no such file"}});
}

TEST_CASE("bad input: a predictor's network has shapes, and room beside an expert") {
  const auto network = [](const std::string& entries) {
    return "prefetch: {predictor: path, accuracy: 0.9, network: {" + entries + "}}\ncache:";
  };
  refuses(
      {{"cache:", network("runs_on: gpu"),
        "bad.yaml:9: prefetch.network.runs_on: \"gpu\"; expected one of stream, compute, cpu, free"},
       {"cache:", network("precision: int3"), "prefetch.network.precision: \"int3\"; expected one of fp32"},
       {"cache:", network("layers: [[1, 2, 3]]"), "prefetch.network.layers: unknown key; expected \"layer\""},
       {"cache:", network("runs_on: compute"), "prefetch.network: a map; expected step or layer"},
       {"cache:", network("layer: [[1, 2]]"), "expected three numbers: rows a token, inner, columns"},
       {"cache:", network("layer: [[0, 2, 3]]"), "\"0\"; expected a whole number from 1 to 10000000"},
       {"cache:", network("step_attention: [[1, 2, 0]]"), "expected -1 for all tokens before, or at least 1"},
       {"cache:", network("layer: [[1, 2, 3]], parameters: -1"), "\"-1\"; expected a number from 0"},
       {"cache:", network("layer: [[1, 2, 3]], parameters: 1e11"), "+ predictor 200.00 GB"},
       {"cache:",
        "prefetch: {predictor: none}\nstrategies: [{name: a, prefetch: {network: {runs_on: free}}}]\ncache:",
        "prefetch.network: a map; expected no such key without a predictor"}});
}

TEST_CASE("bad input: what does not fit says by how much") {
  refuses({{"model: qwen1.5-moe-a2.7b", "model: glam-64b-64e", "GB too much"},
           {"prompt_tokens: 4, output_tokens: 4", "prompt_tokens: 400000, output_tokens: 4",
            "does not fit in GPU memory by"}});
}

TEST_CASE("bad input: a platform without a route to the experts") {
  const TemporaryFolder folder;
  std::string platform = read_text(std::filesystem::path(SPECMOE_SOURCE_DIR) / "platforms/rtx4090.yaml");
  const std::size_t links = platform.find("\nlinks:");
  REQUIRE(links != std::string::npos);
  const std::size_t devices = platform.find("\ndevices:");
  folder.write("island.yaml", platform.substr(0, links) + "\nlinks: {}\n" + platform.substr(devices));
  folder.write("bad.yaml", with("platform: rtx4090", "platform: island.yaml"));
  const CommandResult result = specmoe_command(folder, "run bad.yaml --out out");
  CHECK(result.status == 2);
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK_MESSAGE(result.err.find("no route from dram to vram") != std::string::npos, result.err);
}

TEST_CASE("bad input: no such file, a folder, no arguments, an unknown option") {
  const TemporaryFolder folder;
  for (const char* arguments :
       {"run missing.yaml", "run .", "", "run", "frobnicate", "run x.yaml --frobnicate",
        "run x.yaml --format xml", "trace info missing.h5"}) {
    CAPTURE(arguments);
    const CommandResult result = specmoe_command(folder, arguments);
    CHECK(result.status == 2);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  }
}

TEST_CASE("bad input: a trace that is truncated, corrupt, of another shape, without prefill or too short") {
  const TemporaryFolder folder;
  // 24 layers of 60 experts, top-4: Qwen1.5-MoE's shape; tokens decoded after a prompt that was not recorded.
  Random random(1);
  std::string lines;
  for (int token = 0; token < 400; ++token) {
    lines += "{\"request\":0,\"phase\":\"decode\",\"experts\":[";
    for (int layer = 0; layer < 24; ++layer) {
      const auto first = static_cast<int>(token == 0 ? 56 : random.below(57));
      lines += fmt::format("{}[{},{},{},{}]", layer ? "," : "", first, first + 1, first + 2, first + 3);
    }
    lines += token == 0 ? "],\"prompt_tokens\":5}\n" : "]}\n";
  }
  folder.write("t.jsonl", lines);
  REQUIRE(specmoe_command(folder, "trace import t.jsonl --out t.h5").status == 0);
  const std::string whole = read_text(folder / "t.h5");
  const auto run = [&](const std::string& scenario) {
    folder.write("s.yaml", scenario);
    return specmoe_command(folder, "run s.yaml --out out");
  };
  const std::string routing = "  generate: {zipf: 0.5, reuse: 0.3, correlation: 0}";
  const std::string lengths = "prompt_tokens: 4, output_tokens: 4";
  const auto scenario = [&](const std::string& trace, const std::string& work) {
    std::string text = with(routing, "  trace: " + trace);
    return text.replace(text.find(lengths), lengths.size(), work);
  };
  const auto refused = [&](const CommandResult& result, const std::string& says) {
    CHECK(result.status == 2);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_MESSAGE(result.err.find(says) != std::string::npos, result.err);
  };
  CHECK(run(scenario("t.h5", "prefill: false")).status == 0);

  folder.write("cut.h5", whole.substr(0, whole.size() / 2));
  refused(run(scenario("cut.h5", "prefill: false")), "cut.h5: is no HDF5 file, or truncated");
  std::string damaged = whole;
  for (std::size_t i = damaged.size() / 3; i < damaged.size() / 3 + 400; ++i)
    damaged[i] = static_cast<char>(~damaged[i]);
  folder.write("damaged.h5", damaged);
  refused(run(scenario("damaged.h5", "prefill: false")), "damaged.h5");
  refused(run(scenario("t.h5", "output_tokens: 2")),
          "request 0 of the trace was recorded without its prefill");
  refused(run(scenario("t.h5", "prefill: false, first_request: 1")), "at most the trace's 1 requests");
  std::string other = scenario("t.h5", "prefill: false");
  other.replace(other.find("qwen1.5-moe-a2.7b"), 17, "qwen3-30b-a3b");
  refused(run(other),
          "24 layers of 60 experts, top-4; expected qwen3-30b-a3b's 48 MoE layers of 128 experts");
  refused(run(scenario("missing.h5", "prefill: false")), "missing.h5: no such file");
  refused(run(scenario("t.jsonl", "prefill: false")), "t.jsonl: is no HDF5 file");
}

TEST_CASE(
    "bad input: outputs that are inputs, the same, or cannot be written are refused before anything runs") {
  const TemporaryFolder folder;
  folder.write("s.yaml", kScenario);
  for (const char* options : {"--timeline s.yaml", "--picture s.yaml", "--timeline a.json --picture a.json",
                              "--timeline out/results.h5", "--timeline nowhere/a.json"}) {
    CAPTURE(options);
    const CommandResult result = specmoe_command(folder, std::string("run s.yaml --out out ") + options);
    CHECK(result.status == 2);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_FALSE(std::filesystem::exists(folder / "out/results.h5"));
  }
  CHECK(read_text(folder / "s.yaml") == kScenario);
}

TEST_CASE("bad input: a closed standard error is no reason to crash, a full standard output is told") {
  const TemporaryFolder folder;
  folder.write("s.yaml", kScenario);
  const auto status = [&](const std::string& arguments) {
    return WEXITSTATUS(
        std::system(("cd '" + (folder / "").string() + "' && '" SPECMOE_BINARY "' " + arguments).c_str()));
  };
  CHECK(status("run missing.yaml 2>/dev/full") == 2);
  CHECK(status("run s.yaml --out out >/dev/null 2>&-") == 0);
  CHECK(status("list >/dev/full 2>stderr.txt") == 1);
  CHECK(read_text(folder / "stderr.txt").find("standard output cannot be written") != std::string::npos);
}

TEST_CASE("bad input: names of files and control characters in names are refused") {
  refuses({{"name: base", "name: ..", "at most 100 of a-z"},
           {"name: base", "name: base\ndescription: \"a\\e[31mb\"", "without control characters"}});
}
