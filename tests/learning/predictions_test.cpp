// Ranked guesses, and the file that the simulator reads.
#include "sim/learning/predictions.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "sim/learning/guesser.hpp"
#include "tests/learning/small_data.hpp"
#include "tests/moe/trace_helpers.hpp"
#include "tests/policies/steps.hpp"

using namespace specmoe;
using namespace specmoe::testing;

TEST_CASE("predictions: past the last layer are the first ones of the row after") {
  CHECK(target_layer(5, 3, 1).layer == 4);
  CHECK_FALSE(target_layer(5, 3, 1).next_row);
  CHECK(target_layer(5, 3, 2).layer == 0);
  CHECK(target_layer(5, 3, 2).next_row);
  CHECK(target_layer(2, 1, 2).layer == 1);
  CHECK(target_layer(2, 1, 3).layer == -1);  // two rows ahead
}

TEST_CASE(
    "predictions: the highest scores first, ties by lower expert, as many as three times top-k, ten at "
    "least") {
  CHECK(prediction_ranks(32, 4) == 12);
  CHECK(prediction_ranks(128, 1) == 10);
  CHECK(prediction_ranks(8, 4) == 8);
  LearningData data = empty_data(1, 4, 1);
  add_request(data, {0});
  // One row, one layer, four distances, four experts.
  std::vector<float> scores{.1F, .4F, .1F, .4F, 0, 0, 0, 0, 4, 3, 2, 1, -1, 0, -1, 2};
  const Predictions p = rank_scores(data, 0, scores);
  CHECK(p.ranks == 4);
  CHECK(p.experts == std::vector<std::int16_t>{1, 3, 0, 2, 0, 1, 2, 3, 0, 1, 2, 3, 3, 1, 0, 2});
  CHECK(p.confidence_at(0, 0, 4)[0] == 2.0F);
  scores[5] = std::nanf("");
  CHECK_THROWS_AS(rank_scores(data, 0, scores), std::logic_error);
  scores.pop_back();
  CHECK_THROWS_AS(rank_scores(data, 0, scores), std::logic_error);
}

TEST_CASE(
    "predictions: the simulator's external predictor reads the file, row by row as the trace beside it") {
  const TemporaryFolder folder;
  const LearningData data = random_recording(3, 12, 2, 3, 5, 1);
  const std::vector<int> requests{2, 0};
  const PredictorNetwork network{"tiny", 1234, {{{1, 8, 16}}, {}}, {{{1, 8, 4}, {1, 4, 12}}, {{2, 4, -1}}}};
  std::vector<Predictions> made;
  {
    PredictionsWriter writer(folder / "p.h5", data, network);
    auto random = Random::stream(1, "scores");
    for (const int r : requests) {
      std::vector<float> scores(score_size(data, r));
      for (float& score : scores) score = static_cast<float>(random.uniform());
      made.push_back(rank_scores(data, r, scores));
      writer.add(made.back());
    }
    writer.finish();
  }
  write_trace(data, requests, folder / "t.h5");

  PredictorContext c = context(3, 12, 2);
  c.parameters.set("file", (folder / "p.h5").string());
  c.parameters.set("confidence", 0.0);
  const auto predictor = predictor_named("external").make(c);
  const auto trace = RoutingTrace::open(folder / "t.h5");
  for (std::int64_t r = 0; r < trace->requests(); ++r)
    for (std::int64_t row = 0; row + 1 < 5; ++row) {
      const auto rows = rows_of(*trace, r);
      const auto step_at = [&](std::int64_t at) {
        StepRouting step = step_of(3, 2, {rows.begin() + at * 6, rows.begin() + at * 6 + 6}, r);
        step.rows = {at};
        return step;
      };
      const StepRouting step = step_at(row), next = step_at(row + 1);
      for (int layer = 0; layer < 3; ++layer)
        for (int distance = 1; distance <= kDistances; ++distance) {
          const TargetLayer target = target_layer(3, layer, distance);
          if (target.layer < 0) continue;
          Ids expected;
          for (const auto e : made[static_cast<std::size_t>(r)].experts_at(row, layer, distance))
            expected.push_back({target.layer, e});
          CHECK(ask(*predictor, step, &next, layer, distance) == expected);
        }
    }

  REQUIRE(predictor->network());
  CHECK(predictor->network()->layer.products == network.layer.products);
  CHECK(predictor->network()->layer.attention == network.layer.attention);
  CHECK(predictor->network()->step.products == network.step.products);
  const H5File file = H5File::open(folder / "p.h5");
  CHECK(file.get_string("/network", "name") == "tiny");
  CHECK(file.get_integer("/network", "parameters") == 1234);
  CHECK(file.read<std::int64_t>("/network/layer") == std::vector<std::int64_t>{1, 8, 4, 1, 4, 12});
  CHECK(file.shape("/network/step_attention") == std::vector<std::int64_t>{0, 3});
  CHECK(file.read<std::int64_t>("/network/layer_attention") == std::vector<std::int64_t>{2, 4, -1});
  const auto confidence = file.read<float>("/confidence");
  CHECK(confidence[7] == doctest::Approx(made[0].confidence[7]).epsilon(2e-4));
}

TEST_CASE("predictions: a file that is not finished is not there") {
  const TemporaryFolder folder;
  const LearningData data = random_recording(2, 12, 2, 1, 2, 1);
  { PredictionsWriter writer(folder / "p.h5", data); }
  CHECK_FALSE(std::filesystem::exists(folder / "p.h5"));
  CHECK_FALSE(std::filesystem::exists((folder / "p.h5").string() + ".unfinished"));
  PredictionsWriter writer(folder / "p.h5", data);
  Predictions wrong;
  wrong.layers = 2;
  wrong.ranks = 3;
  CHECK_THROWS_AS(writer.add(wrong), std::logic_error);
}
