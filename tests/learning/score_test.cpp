// How right predictions are, by hand.
#include "sim/learning/score.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/learning/small_data.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

using enum Metric::Kind;

// Names the experts first .. first + ranks - 1 everywhere, with confidences 0.95, 0.85, ... 0.05 (at least).
Predictions naming(const LearningData& data, int request, int first) {
  std::vector<float> scores(score_size(data, request));
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const int expert = static_cast<int>(i) % data.experts;
    const int rank = (expert - first + data.experts) % data.experts;
    scores[i] = std::max(0.05F, 0.95F - 0.1F * static_cast<float>(rank));
  }
  return rank_scores(data, request, scores);
}

// Two layers of 12 experts, top 2; three rows.
LearningData two_layers() {
  LearningData data = empty_data(2, 12, 2);
  // [row, layer, rank]
  add_request(data,
              {0, 1, /**/ 0, 5,  //
               2, 3, /**/ 1, 0,  //
               9, 0, /**/ 7, 8},
              "a", 1);
  return data;
}

}  // namespace

TEST_CASE("score: top-1, recall and coverage by distance and target layer") {
  const LearningData data = two_layers();
  Score score(data);
  score.add(data, 0, naming(data, 0, 0));  // 0, 1, 2, ... 9
  const Where next_layer{1, false, -1};
  // Layer 1 of three rows: {0, 5}, {1, 0}, {7, 8}.
  CHECK(score.rows(next_layer) == 3);
  CHECK(score.value({top1}, next_layer) == doctest::Approx(2 / 3.0));
  CHECK(score.value({recall}, next_layer) == doctest::Approx(3 / 6.0));     // 0; 0 and 1; none
  CHECK(score.value({recall, 1}, next_layer) == doctest::Approx(2 / 6.0));  // 0; 0; none
  CHECK(score.value({recall, 10}, next_layer) == doctest::Approx(6 / 6.0));
  CHECK(score.value({coverage, 2}, next_layer) == doctest::Approx(1 / 3.0));
  CHECK(score.value({coverage, 4}, next_layer) == doctest::Approx(1 / 3.0));
  CHECK(score.value({coverage, 6}, next_layer) == doctest::Approx(2 / 3.0));
  // Layer 0 of the rows after: {2, 3}, {9, 0}. The last row has none after it.
  const Where next_token{1, true, -1};
  CHECK(score.rows(next_token) == 2);
  CHECK(score.value({recall}, next_token) == doctest::Approx(1 / 4.0));
  CHECK(score.value({recall}, {1, true, 0}) == doctest::Approx(1 / 4.0));
  // Two ahead is the same layer of the row after; in two layers nothing of the same token.
  CHECK(score.rows({2, false, -1}) == 0);
  CHECK(std::isnan(score.value({recall}, {2, false, -1})));
  CHECK(score.rows({2, true, -1}) == 4);
  CHECK(score.value({recall}, {2, true, 1}) == doctest::Approx(2 / 4.0));  // {1, 0}, {7, 8}
  // Three ahead of layer 0 is layer 1 of the row after; of layer 1 it is two rows on.
  CHECK(score.rows({3, true, -1}) == 2);
  CHECK(score.recall_budgets() == std::vector<int>{1, 2, 3, 5, 10});
  CHECK(std::isnan(score.value({recall, 7}, next_layer)));
}

TEST_CASE("score: prefill rows can be left out, and layers that did not route") {
  LearningData data = two_layers();
  ScoreOptions options;
  options.decode_only = true;
  Score decode(data, options);
  decode.add(data, 0, naming(data, 0, 0));
  CHECK(decode.rows({1, false, -1}) == 2);
  CHECK(decode.value({recall}, {1, false, -1}) == doctest::Approx(2 / 4.0));

  data.chosen[2] = data.chosen[3] = -1;  // row 0, layer 1: not routed
  data.chosen[6] = -1;                   // row 1, layer 1: {0}
  Score score(data);
  score.add(data, 0, naming(data, 0, 0));
  CHECK(score.rows({1, false, -1}) == 2);
  CHECK(score.value({recall}, {1, false, -1}) == doctest::Approx(1 / 3.0));
  CHECK(score.value({coverage, 2}, {1, false, -1}) == doctest::Approx(1 / 2.0));
}

TEST_CASE("score: calibration of what is named") {
  LearningData data = empty_data(2, 12, 2);
  add_request(data, {0, 1, /**/ 0, 1});
  Score score(data);
  score.add(data, 0, naming(data, 0, 0));
  // Named 0 at 0.95 and 1 at 0.85, both right; eight more at 0.75, ... 0.05, all wrong: 0.05 + 0.15 + 0.75 + ... + 0.05
  // of ten.
  const auto bins = score.reliability(1);
  CHECK(bins[9].guesses == 1);
  CHECK(bins[9].right == 1);
  CHECK(bins[7].guesses == 1);
  CHECK(bins[7].right == 0);
  CHECK(score.calibration_error(1) ==
        doctest::Approx((.05 + .15 + .75 + .65 + .55 + .45 + .35 + .25 + .15 + .05) / 10));
}

TEST_CASE("score: intervals over requests, and comparisons are paired") {
  LearningData data = empty_data(2, 12, 1);
  // Every second request is guessed by naming 0; naming 11 is right half as often, on some of these.
  for (int r = 0; r < 40; ++r) {
    const auto truth = static_cast<std::int16_t>(r % 2 == 0 ? 0 : 5);
    add_request(data, {0, truth, 0, truth});
  }
  Score score(data), same(data), worse(data);
  for (int r = 0; r < 40; ++r) {
    score.add(data, r, naming(data, r, 0));
    same.add(data, r, naming(data, r, 0));
    worse.add(data, r, naming(data, r, r % 4 == 0 ? 0 : 7));
  }
  const Where where{1, false, -1};
  const Estimate half = score.estimate({recall}, where);
  CHECK(half.value == doctest::Approx(0.5));
  // Binomial of 40: a standard error of 0.079.
  CHECK(half.low == doctest::Approx(0.5 - 1.96 * 0.079).epsilon(0.1));
  CHECK(half.high == doctest::Approx(0.5 + 1.96 * 0.079).epsilon(0.1));
  CHECK(score.estimate({recall}, where).low == half.low);

  const Estimate none = ratio(score, same, {recall}, where);
  CHECK(none.low == 1);
  CHECK(none.high == 1);
  CHECK(difference(score, same, {recall}, where).high == 0);
  const Estimate twice = ratio(score, worse, {recall}, where);
  CHECK(twice.value == doctest::Approx(2));
  CHECK(twice.low > 1.3);
  CHECK(twice.high < 4.5);
  CHECK(difference(score, worse, {recall}, where).value == doctest::Approx(0.25));

  const std::vector<int> even{0, 2, 4};
  const Score part = score.only(even);
  CHECK(part.value({recall}, where) == 1);
  CHECK_THROWS_AS(ratio(score, part, {recall}, where), std::logic_error);
  CHECK_THROWS_AS(part.only(std::vector<int>{1}), std::logic_error);
}

TEST_CASE("score: the table and the CSV name every guesser, with lifts over popularity and transition") {
  const LearningData data = two_layers();
  const auto scored = [&](const std::string& name, int first) {
    ScoredGuesser out{name, Score(data), true};
    out.score.add(data, 0, naming(data, 0, first));
    return out;
  };
  const std::vector<ScoredGuesser> all{scored("popularity", 0), scored("mine", 5)};
  const std::string table = score_table(all);
  CHECK(table.find("recall@2") != std::string::npos);
  CHECK(table.find("all@6") != std::string::npos);
  // Naming {5, 6}: one of six, a third of what naming {0, 1} finds.
  CHECK(table.find("16.7 [16.7, 16.7]") != std::string::npos);
  CHECK(table.find("0.33 [0.33, 0.33]") != std::string::npos);
  const std::string csv = score_csv(all);
  CHECK(csv.find("guesser,distance,target_token,target_layer,rows,top_1,") == 0);
  CHECK(csv.find("\nmine,1,same,all,3,0.333333,0.166667,0.166667,") != std::string::npos);
  CHECK(csv.find("\nmine,1,next,0,2,") != std::string::npos);
  // As many commas in each line.
  const auto commas = std::count(csv.begin(), csv.begin() + static_cast<std::ptrdiff_t>(csv.find('\n')), ',');
  CHECK(std::count(csv.begin(), csv.end(), ',') == commas * std::count(csv.begin(), csv.end(), '\n'));
  CHECK(reliability_table(all).find("mine, 1 ahead: calibration error") != std::string::npos);
}
