// specmoe study from outside: the same bytes however it is run, nothing lost and nothing run twice.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <regex>
#include <thread>

#include "sim/base/h5.hpp"
#include "sim/study/journal.hpp"
#include "tests/cli/command.hpp"

using namespace specmoe;

namespace {

// Two MoE layers of four experts of 2 x 64 x 64 x 2 B: a simulation takes milliseconds.
const std::string kModel = R"(name: tiny
source: made up
hidden: 64
vocabulary: 256
tied_embeddings: true
format: bf16
decoder: {layers: 2, moe_layers: all}
attention: {heads: 1, kv_heads: 1, head_dim: 64}
experts: {routed: 8, top_k: 2, intermediate: 64, gated: false}
published: {total_billion: 0.00026, source: made up}
)";
const std::string kBase = R"(name: base
seed: 1
platform: rtx4090
model: tiny.yaml
routing: {generate: {zipf: 1, reuse: 0.3, correlation: 0}}
workload: {requests: 2, batch: 2, prompt_tokens: 2, output_tokens: 12, prefill: false}
cache: {capacity: 50 %}
strategies:
  - {name: LRU}
  - {name: gate, prefetch: {predictor: gate, accuracy: 0.9}}
)";

void write_study(const TemporaryFolder& folder, const std::string& rest) {
  folder.write("tiny.yaml", kModel);
  folder.write("base.yaml", kBase);
  folder.write("study.yaml", "name: s\nscenario: base.yaml\n" + rest);
}

int simulated_now(const std::string& out) {
  std::smatch found;
  return std::regex_search(out, found, std::regex("\\((\\d+) simulated now\\)")) ? std::stoi(found[1]) : -1;
}

}  // namespace

TEST_CASE("study: side by side, one after another and in shards give the same bytes") {
  const TemporaryFolder folder;
  write_study(folder,
              "axes: {workload.batch: [1, 2], platform.links.pcie.bandwidth: [x1, x2]}\nreplications: "
              "3\nbaseline: LRU\n");
  const CommandResult serial = specmoe_command(folder, "study study.yaml --out serial --jobs 1");
  REQUIRE_MESSAGE(serial.status == 0, serial.err);
  CHECK(simulated_now(serial.out) == 2 * 2 * 2 * 3);
  const CommandResult both = specmoe_command(folder, "study study.yaml --out both --jobs 2");
  REQUIRE_MESSAGE(both.status == 0, both.err);
  for (const char* shard : {"0/3", "1/3", "2/3"}) {
    const CommandResult part =
        specmoe_command(folder, std::string("study study.yaml --out shards --shard ") + shard);
    REQUIRE_MESSAGE(part.status == 0, part.err);
  }
  const CommandResult collected = specmoe_command(folder, "study study.yaml --out shards");
  CHECK(simulated_now(collected.out) == 0);
  for (const char* file : {"study.h5", "runs.csv"}) {
    CHECK(read_text(folder / "both" / file) == read_text(folder / "serial" / file));
    CHECK(read_text(folder / "shards" / file) == read_text(folder / "serial" / file));
  }
  const H5File h5 = H5File::open(folder / "serial/study.h5");
  CHECK(h5.shape("/runs/tpot") == std::vector<std::int64_t>{24});
  CHECK(h5.shape("/decode_steps/duration") == std::vector<std::int64_t>{2 * (24 + 12) * 2 * 3});
}

TEST_CASE("study: a run is what specmoe run gives for the same scenario") {
  const TemporaryFolder folder;
  write_study(folder, "axes: {workload.batch: [1]}\n");
  REQUIRE(specmoe_command(folder, "study study.yaml --out out").status == 0);
  std::string alone = kBase;
  alone.replace(alone.find("batch: 2"), 8, "batch: 1");
  folder.write("alone.yaml", alone);
  REQUIRE(specmoe_command(folder, "run alone.yaml --out alone").status == 0);
  const H5File study = H5File::open(folder / "out/study.h5"), run = H5File::open(folder / "alone/results.h5");
  for (const char* number : {"tpot", "total_time", "hits", "tokens_per_second", "peak_gpu_memory"}) {
    const auto column = study.read<double>(std::string("/runs/") + number);
    CHECK(column[0] == run.get_number("/runs/LRU", number));
    CHECK(column[1] == run.get_number("/runs/gate", number));
  }
}

TEST_CASE("study: only what an axis adds is simulated") {
  const TemporaryFolder folder;
  write_study(folder, "axes: {workload.batch: [1]}\n");
  REQUIRE(specmoe_command(folder, "study study.yaml --out out").status == 0);
  folder.write("study.yaml", "name: s\nscenario: base.yaml\naxes: {workload.batch: [1, 2]}\n");
  CHECK(simulated_now(specmoe_command(folder, "study study.yaml --out out").out) == 2);
  CHECK(simulated_now(specmoe_command(folder, "study study.yaml --out out").out) == 0);
}

TEST_CASE("study: a point that is wrong is found before the first run, one that cannot run is a row") {
  const TemporaryFolder folder;
  write_study(folder, "axes: {prefetch.predictor: [none, orcale]}\n");
  const CommandResult wrong = specmoe_command(folder, "study study.yaml --out out");
  CHECK(wrong.status == 2);
  CHECK(wrong.err.find("study.yaml:3: ") == 0);
  CHECK(wrong.err.find("orcale") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "out/journal"));
  write_study(folder, "axes: {cache.capacity: [50 %, 100 GB]}\n");
  const CommandResult large = specmoe_command(folder, "study study.yaml --out out");
  CHECK(large.status == 0);
  CHECK(large.out.find("cannot run: ") != std::string::npos);
  const H5File h5 = H5File::open(folder / "out/study.h5");
  CHECK(h5.read_strings("/cells/refused")[2].find("100 GB") != std::string::npos);
  CHECK(std::isnan(h5.read<double>("/cells/tpot")[2]));
}

TEST_CASE(
    "study: killed again and again, it loses nothing, runs nothing twice, and ends with the same bytes") {
  const TemporaryFolder folder;
  write_study(folder, "axes: {workload.batch: [1, 2]}\nreplications: 60\n");
  REQUIRE(specmoe_command(folder, "study study.yaml --out whole").status == 0);
  std::size_t before = 0;
  int kills = 0;
  for (bool ended = false; !ended;) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      REQUIRE(::chdir((folder / "").c_str()) == 0);
      const int null = ::open("/dev/null", O_WRONLY);
      ::dup2(null, 1);
      ::dup2(null, 2);
      ::execl(SPECMOE_BINARY, "specmoe", "study", "study.yaml", "--out", "killed", nullptr);
      ::_exit(127);
    }
    // Later each time, so that it ends some time on the slowest machine.
    std::this_thread::sleep_for(std::chrono::milliseconds(150 + 40 * kills));
    ::kill(pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    ended = WIFEXITED(status);
    if (ended) CHECK(WEXITSTATUS(status) == 0);
    kills += !ended;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // its children die with it
    if (std::filesystem::exists(folder / "killed/journal")) {
      const Journal journal(folder / "killed/journal", "study");
      CHECK(journal.size() >= before);
      before = journal.size();
    }
  }
  CHECK(kills > 0);
  CHECK(before == 240);
  CHECK(read_text(folder / "killed/study.h5") == read_text(folder / "whole/study.h5"));
  // No record stands twice: the file is as long as one that was written at once.
  CHECK(std::filesystem::file_size(folder / "killed/journal/study.journal") ==
        std::filesystem::file_size(folder / "whole/journal/study.journal"));
}

TEST_CASE("study: points that are the same scenario, however it is written, are simulated once") {
  const TemporaryFolder folder;
  write_study(folder, "axes: {v: {variants: {one: {}, two: {workload.batch: 2}}}}\n");
  CHECK(simulated_now(specmoe_command(folder, "study study.yaml --out out").out) == 2);
  // A comment, another path to it, and a date change nothing.
  folder.write("base.yaml", "# a comment\n" + kBase);
  folder.write("tiny.yaml", kModel);
  CHECK(simulated_now(specmoe_command(folder, "study ./study.yaml --out out").out) == 0);
  folder.write("tiny.yaml", kModel + "notes: other\n");
  CHECK(simulated_now(specmoe_command(folder, "study study.yaml --out out").out) == 2);
}

TEST_CASE("study: the seed is for replications") {
  const TemporaryFolder folder;
  write_study(folder, "axes: {seed: [5, 9]}\nreplications: 2\n");
  const CommandResult result = specmoe_command(folder, "study study.yaml --out out");
  CHECK(result.status == 2);
  CHECK(result.err.find("study.yaml:3: axes.seed[0]: \"5\"; expected replications") == 0);
}

TEST_CASE("study: cells without their baseline are counted") {
  const TemporaryFolder folder;
  write_study(folder, "axes: {cache.capacity: [100 GB, 50 %]}\nbaseline: {cache.capacity: 100 GB}\n");
  const CommandResult result = specmoe_command(folder, "study study.yaml --out out");
  CHECK(result.status == 0);
  CHECK(result.out.find("warning: 2 cells have no baseline: it cannot run there") != std::string::npos);
}
