// The baselines on recorded routing, where the recording is there.
#include <doctest/doctest.h>

#include <algorithm>

#include "models/moe/routing/trace_import.hpp"
#include "sim/learning/score.hpp"
#include "sim/learning/split.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;

namespace {

// Imports the recording into a folder. @return whether it is there.
bool imported(const TemporaryFolder& folder) {
  TraceImport import;
  import.inputs = {std::filesystem::path(SPECMOE_SOURCE_DIR) / "../shared/data/gpt-oss-20b-routing"};
  if (!std::filesystem::exists(import.inputs[0])) {
    MESSAGE("SKIPPED: no gpt-oss-20b-routing beside the sources");
    return false;
  }
  import.out = folder / "trace.h5";
  import_trace(import);
  return true;
}

}  // namespace

TEST_CASE(
    "learning data: gpt-oss-20b's token ids belong to their rows, and its twin requests stay together") {
  const TemporaryFolder folder;
  if (!imported(folder)) return;
  const LearningData data = load_learning_data(*RoutingTrace::open(folder / "trace.h5"));
  CHECK(data.rows() == 215'438);
  CHECK(data.vocabulary == 13'887);
  // Tokens of one id share most of their experts in layer 0: 3.31 of 4 in the recording's README, and 1.76 if the ids are
  // shifted by one. Here each row and the last one before it with the same id, often of the same request: so somewhat
  // more than two of any place share.
  for (const std::int64_t shift : {0, 1}) {
    std::vector<std::int64_t> last(static_cast<std::size_t>(data.vocabulary), -1);
    std::int64_t shared = 0, pairs = 0;
    for (std::int64_t row = 0; row + shift < data.rows(); ++row) {
      auto& before = last[static_cast<std::size_t>(data.token_ids[static_cast<std::size_t>(row + shift)])];
      if (before >= 0) {
        ++pairs;
        const auto a = data.chosen_at(before, 0), b = data.chosen_at(row, 0);
        for (const auto e : a) shared += std::count(b.begin(), b.end(), e);
      }
      before = row;
    }
    const double mean = static_cast<double>(shared) / static_cast<double>(pairs);
    CAPTURE(mean);
    CHECK((shift == 0 ? mean > 3.2 : mean < 2.4));
  }
  // Request 305 is marked as a duplicate of 199.
  for (SplitOptions options; options.seed <= 30; ++options.seed) {
    const Split split = split_requests(data, options);
    for (const auto* part : {&split.train, &split.validation, &split.test})
      CHECK(std::count(part->begin(), part->end(), 199) == std::count(part->begin(), part->end(), 305));
  }
}

TEST_CASE("baselines: recall@4 on gpt-oss-20b is what was measured elsewhere") {
  const TemporaryFolder folder;
  if (!imported(folder)) return;
  const auto trace = RoutingTrace::open(folder / "trace.h5");
  LearningLimits limits;
  limits.rows = 160;  // of up to 511, for time
  const LearningData data = load_learning_data(*trace, limits);
  CHECK(data.requests.size() == 703);
  const Split split = split_requests(data, {});
  CHECK(split.test.size() == 141);

  // Measured by the customer on the whole recording, another random fifth held out, mean over layers: 28, 44, 61, 60,
  // 74 %. Popularity changes with the fifth by +-2. Here with a third of the rows and without layer 0, where the
  // token's id says most.
  struct Case {
    const char* name;
    double recall, tolerance;
  };
  for (const Case& c :
       {Case{"uniform", 0.125, 0.002}, Case{"popularity", 0.28, 0.03}, Case{"previous-token", 0.44, 0.02},
        Case{"token-id", 0.59, 0.025}, Case{"transition", 0.60, 0.02}, Case{"ridge", 0.74, 0.02}}) {
    CAPTURE(c.name);
    const auto guesser = baseline_named(c.name).make(1);
    guesser->fit(data, split.train, split.validation);
    const double recall = score_guesser(*guesser, data, split.test).value({}, {});
    CAPTURE(recall);
    CHECK(recall > c.recall - c.tolerance);
    CHECK(recall < c.recall + c.tolerance);
  }
}
