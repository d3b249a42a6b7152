// specmoe-train as a user runs it, and what the simulator makes of it.
#include <doctest/doctest.h>

#include <numeric>

#include "sim/learning/predictions.hpp"
#include "tests/cli/command.hpp"
#include "tests/learning/small_data.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

CommandResult train_command(const TemporaryFolder& folder, const std::string& arguments) {
  return run_command(SPECMOE_TRAIN_BINARY, folder, arguments);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void write_recording(const TemporaryFolder& folder) {
  const LearningData data = random_recording(24, 32, 4, 20, 12, 3);
  std::vector<int> all(20);
  std::iota(all.begin(), all.end(), 0);
  write_trace(data, all, folder / "t.h5");
}

}  // namespace

TEST_CASE("specmoe-train: trains, judges, predicts, and the simulator runs what it predicts") {
  const TemporaryFolder folder;
  write_recording(folder);
  const CommandResult trained = train_command(
      folder, "train t.h5 --architecture mlp --out n.h5 --epochs 2 --device cpu --test-share 0.3");
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(has(trained.out, "n.h5: mlp, "));
  CHECK(has(trained.out, "validation recall@4"));
  CHECK(has(trained.err, "epoch   2"));

  const CommandResult judged = train_command(
      folder,
      "evaluate t.h5 --network n.h5 --csv all.csv --device cpu --baseline popularity --baseline transition");
  CAPTURE(judged.err);
  REQUIRE(judged.status == 0);
  for (const char* row : {"popularity", "transition", "\nn ", "random 30 %"}) CHECK(has(judged.out, row));
  CHECK(has(read_text(folder / "all.csv"), "\"random 30 %\",n,"));

  const CommandResult predicted = train_command(
      folder, "predict t.h5 --network n.h5 --out p.h5 --trace-out test.h5 --requests 4 --device cpu");
  CAPTURE(predicted.err);
  REQUIRE(predicted.status == 0);
  CHECK(has(predicted.out, "4 requests"));
  folder.write("s.yaml", R"(name: predicted
description: what a network predicts
seed: 1
platform: rtx4090
model: {name: gpt-oss-20b, expert_format: bf16}
routing: {trace: test.h5}
workload: {requests: 4, batch: 1, output_tokens: 4, prefill: false}
cache: {capacity: auto, scope: global, eviction: lru, start: empty}
strategies:
  - {name: learned, prefetch: {predictor: {name: external, file: p.h5, confidence: 0.1}, width: 4}}
)");
  const CommandResult run = specmoe_command(folder, "run s.yaml");
  CAPTURE(run.err);
  CHECK(run.status == 0);
  CHECK(has(run.out, "learned"));

  // Another recording: what the network learnt from is left out, and nobody else may learn from it.
  const CommandResult other = train_command(folder, "evaluate test.h5 --network n.h5 --device cpu");
  CAPTURE(other.err);
  CHECK(other.status == 0);
  CHECK(has(other.out, "4 of 4 requests, which the network did not learn from"));
  CHECK(has(train_command(folder, "evaluate test.h5 --network n.h5 --baseline ridge --device cpu").err,
            "was trained on another recording"));

  const CommandResult timed = train_command(folder, "networks --trace t.h5 --network n.h5 --device cpu");
  CAPTURE(timed.err);
  CHECK(timed.status == 0);
  CHECK(has(timed.out, "MFLOP"));
}

TEST_CASE("specmoe-train: bad input is one line and status 2") {
  const TemporaryFolder folder;
  write_recording(folder);
  REQUIRE(train_command(folder, "train t.h5 --architecture mlp --out n.h5 --epochs 1 --device cpu").status ==
          0);
  const std::pair<const char*, const char*> cases[] = {
      {"train t.h5 --architecture large --out x.h5", "one of dense, enhanced"},
      {"train none.h5 --architecture mlp --out x.h5", "none.h5"},
      {"train t.h5 --architecture probe --out x.h5", "needs hidden states"},
      {"train t.h5 --architecture mlp --out no/x.h5 --device cpu --epochs 1", "cannot be written"},
      {"train t.h5 --architecture mlp --out x.h5 --test-label nobody", "nobody"},
      {"evaluate t.h5 --network n.h5 --split-seed 9 --device cpu", "was trained with another split"},
      {"evaluate t.h5 --network t.h5 --device cpu", "expected a network that specmoe-train wrote"},
      {"evaluate t.h5 --baseline fortune", "baseline \"fortune\" is unknown"},
      {"evaluate t.h5 --baseline none", "nobody predicts"},
      {"predict t.h5 --out p.h5", "--network or --baseline"},
      {"predict t.h5 --baseline ridge --out p.h5 --test-share 7", "test"},
  };
  for (const auto& [arguments, expected] : cases) {
    CAPTURE(arguments);
    const CommandResult result = train_command(folder, arguments);
    CAPTURE(result.err);
    CHECK(result.status == 2);
    CHECK(has(result.err, expected));
    CHECK(result.out.empty());
  }
  CHECK(!std::filesystem::exists(folder / "x.h5"));
  CHECK(!std::filesystem::exists(folder / "p.h5"));
}
