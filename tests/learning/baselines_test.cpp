// The baselines, by hand, and what none of them may see.
#include <doctest/doctest.h>

#include "sim/learning/guesser.hpp"
#include "sim/learning/score.hpp"
#include "tests/learning/small_data.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

using Scores = std::vector<float>;

Scores scores_of(Guesser& guesser, const LearningData& data, int request) {
  Scores out;
  guesser.score(data, request, out);
  return out;
}

// Of one row, layer and distance.
Scores at(const Scores& scores, const LearningData& data, std::int64_t row, int layer, int distance) {
  const auto first =
      scores.begin() + ((row * data.layers + layer) * kDistances + distance - 1) * data.experts;
  return {first, first + data.experts};
}

std::unique_ptr<Guesser> fitted(const std::string& name, const LearningData& data,
                                const std::vector<int>& train, const std::vector<int>& validation = {}) {
  auto guesser = baseline_named(name).make(1);
  CHECK(guesser->name() == name);
  guesser->fit(data, train, validation);
  return guesser;
}

void check_equal(const Scores& found, const Scores& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-4));
}

}  // namespace

TEST_CASE("baselines: none sees what comes later") {
  for (const auto& kind : baseline_kinds())
    for (const int layers : {2, 6}) {
      CAPTURE(kind.name);
      CAPTURE(layers);
      const LearningData data = random_recording(layers, 8, 2, 6, 7, 3);
      const auto guesser = fitted(std::string(kind.name), data, {0, 1, 2, 3}, {4});
      const Scores before = scores_of(*guesser, data, 5);
      REQUIRE(before.size() == score_size(data, 5));
      const std::int64_t first = data.requests[5].first_row;
      auto random = Random::stream(9, "future");
      for (std::int64_t row = 0; row < 7; ++row)
        for (int layer = 0; layer < layers; ++layer) {
          LearningData changed = data;
          for (std::int64_t r = row; r < 7; ++r) {
            for (int l = r == row ? layer + 1 : 0; l < layers; ++l) randomise(changed, first + r, l, random);
            if (r > row)
              changed.token_ids[static_cast<std::size_t>(first + r)] = static_cast<int>(random.below(5));
          }
          const Scores after = scores_of(*guesser, changed, 5);
          const auto known = ((row * layers + layer) + 1) * kDistances * data.experts;
          CHECK(std::equal(before.begin(), before.begin() + known, after.begin()));
        }
    }
}

TEST_CASE("baselines: none learns from other requests than it is given") {
  for (const auto& kind : baseline_kinds()) {
    CAPTURE(kind.name);
    const LearningData data = random_recording(3, 8, 2, 6, 7, 4);
    LearningData changed = data;
    auto random = Random::stream(9, "test");
    for (std::int64_t row = data.requests[5].first_row; row < data.rows(); ++row)
      for (int layer = 0; layer < 3; ++layer) randomise(changed, row, layer, random);
    CHECK(scores_of(*fitted(std::string(kind.name), data, {0, 1, 2}, {3}), data, 4) ==
          scores_of(*fitted(std::string(kind.name), changed, {0, 1, 2}, {3}), changed, 4));
  }
}

TEST_CASE("baselines: do without weights and token ids") {
  for (const auto& kind : baseline_kinds()) {
    CAPTURE(kind.name);
    LearningData data = random_recording(3, 8, 2, 4, 7, 5);
    data.has_weights = data.has_token_ids = false;
    data.weights.clear();
    data.token_ids.clear();
    CHECK(scores_of(*fitted(std::string(kind.name), data, {0, 1}), data, 3).size() == score_size(data, 3));
  }
  CHECK(message_of([] { baseline_named("ridg"); }) ==
        "baseline \"ridg\" is unknown; expected one of uniform, popularity, previous-token, token-id, "
        "transition, "
        "trace-match, ridge");
}

TEST_CASE("uniform: top-k of the experts are right") {
  const LearningData data = random_recording(6, 8, 2, 40, 30, 6);
  const auto guesser = fitted("uniform", data, {0});
  std::vector<int> all;
  for (int r = 0; r < 40; ++r) all.push_back(r);
  // Of 12,000 x 2 experts: a standard error of 0.3 %.
  CHECK(score_guesser(*guesser, data, all).value({}, {}) == doctest::Approx(0.25).epsilon(0.05));
}

TEST_CASE("popularity: the share of rows that chose an expert") {
  LearningData data = empty_data(2, 3, 1);
  add_request(data, {0, 1, 0, 2, 0, 1, 0, 1});  // layer 1: 1, 2, 1, 1
  add_request(data, {2, 0});
  const Scores s = scores_of(*fitted("popularity", data, {0}), data, 1);
  check_equal(at(s, data, 0, 0, 1), {0, .75F, .25F});
  check_equal(at(s, data, 0, 1, 1), {1, 0, 0});
}

TEST_CASE("previous token: the last known experts of the layer by weight, then the popular ones") {
  LearningData data = empty_data(2, 4, 2);
  data.has_weights = true;
  add_request(data, {0, 1, 2, 3, 0, 1, 2, 1});
  add_request(data, {0, 1, /**/ 3, 0, /**/ 2, 3, /**/ 1, 2});
  data.weights = {.5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .6F, .4F, .7F, .3F, .8F, .2F, .9F, .1F};
  const Scores s = scores_of(*fitted("previous-token", data, {0}), data, 1);
  check_equal(at(s, data, 0, 0, 1), {0, .5F, 1, .5F});      // nobody before: popularity of layer 1
  check_equal(at(s, data, 1, 0, 1), {1.3F, .5F, 1, 1.7F});  // row 0, layer 1
  check_equal(at(s, data, 1, 1, 1), {1, 1, 1.8F, 1.2F});    // the next row's layer 0: row 1's
  check_equal(at(s, data, 1, 0, 3),
              {1.3F, .5F, 1, 1.7F});  // the next row's layer 1, row 1's is not known yet
  check_equal(at(s, data, 1, 1, 2), {0, 1.9F, 1.1F, .5F});  // and here it is
}

TEST_CASE("token id: what tokens of the id used, and the popular experts once") {
  LearningData data = empty_data(2, 3, 1);
  data.has_token_ids = true;
  add_request(data, {0, 1, 0, 1, 0, 2, 0, 0});
  add_request(data, {0, 0, 0, 0});
  data.token_ids = {7, 7, 7, 8, /**/ 7, 9};
  const Scores s = scores_of(*fitted("token-id", data, {0}), data, 1);
  // Layer 1 of id 7: 1, 1, 2; popularity 1/4, 1/2, 1/4.
  check_equal(at(s, data, 0, 0, 1), {.25F / 4, 2.5F / 4, 1.25F / 4});
  check_equal(at(s, data, 1, 0, 1), {.25F, .5F, .25F});  // never seen
  check_equal(at(s, data, 0, 0, 3), {.25F, .5F, .25F});  // the next token's id is not known
}

TEST_CASE("transition: shares of what followed the present experts, by gate weight") {
  LearningData data = empty_data(2, 3, 2);
  data.has_weights = true;
  add_request(data, {0, 1, /**/ 1, 2, /**/ 0, 2, /**/ 1, 0});
  add_request(data, {0, 1, /**/ 0, 1});
  data.weights = {.75F, .25F, .5F, .5F, .5F, .5F, .5F, .5F, .6F, .4F, .5F, .5F};
  const Scores s = scores_of(*fitted("transition", data, {0}), data, 1);
  // Popularity of layer 1: 1/2, 1, 1/2. From 0 (weight 1.25): to 0 0.5, to 1 1.25, to 2 0.75; from 1 (0.25): to 1 and 2.
  // P(. | 0) = (1, 2.25, 1.25) / 2.25, P(. | 1) = (0.5, 1.25, 0.75) / 1.25.
  check_equal(at(s, data, 0, 0, 1),
              {.6F * 1 / 2.25F + .4F * .5F / 1.25F, 1, .6F * 1.25F / 2.25F + .4F * .75F / 1.25F});
}

TEST_CASE("trace match: the most alike request's shares, once a row is known") {
  LearningData data = empty_data(2, 4, 1);
  add_request(data, {0, 1, 0, 1, 0, 2, 0, 1});
  add_request(data, {3, 3, 3, 3});
  add_request(data, {0, 2, 3, 3, 0, 1});
  const Scores s = scores_of(*fitted("trace-match", data, {0, 1}), data, 2);
  // Popularity of layer 1: of six rows three 1, one 2, two 3. One in ten thousand of it.
  check_equal(at(s, data, 0, 0, 1), {0, 3 / 6.0F, 1 / 6.0F, 2 / 6.0F});
  // {0, 2} is like request 0 ((4 + 1) / sqrt(16 + 9 + 1)), not like 1.
  const Scores second = at(s, data, 1, 0, 1);
  CHECK(second[1] == doctest::Approx(.75).epsilon(1e-3));
  CHECK(second[2] == doctest::Approx(.25).epsilon(1e-3));
  CHECK(second[3] < 1e-3);
  // {0, 2} and {3, 3}: 5 / sqrt(26) = 0.98 against 4 / sqrt(8) = 1.41.
  CHECK(at(s, data, 2, 0, 1)[3] > 0.9F);
}

TEST_CASE("ridge: learns what is linear in the experts before") {
  LearningData data = empty_data(3, 6, 1);
  auto random = Random::stream(1, "ridge");
  for (int r = 0; r < 10; ++r) {
    std::vector<std::int16_t> chosen;
    std::int16_t token = 0;
    for (int row = 0; row < 40; ++row) {
      // Each layer adds one to the expert; a token starts at random.
      token = static_cast<std::int16_t>(random.below(6));
      for (int layer = 0; layer < 3; ++layer)
        chosen.push_back(static_cast<std::int16_t>((token + layer) % 6));
    }
    add_request(data, chosen);
  }
  const auto ridge = fitted("ridge", data, {0, 1, 2, 3, 4, 5, 6}, {7});
  const Score score = score_guesser(*ridge, data, std::vector<int>{8, 9});
  CHECK(score.value({Metric::Kind::top1}, {1, false, -1}) == 1);
  CHECK(score.value({Metric::Kind::top1}, {2, false, -1}) == 1);
  CHECK(score.value({Metric::Kind::top1}, {1, true, -1}) < 0.5);  // at random
}
