#include "sim/policies/predictor.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

using namespace specmoe;

namespace {

std::unique_ptr<Predictor> make(std::string_view name, const PredictorContext& context) {
  const auto kinds = predictor_kinds();
  return std::find_if(kinds.begin(), kinds.end(),
                      [&](const PredictorKind& kind) { return kind.name == name; })
      ->make(context);
}

// Two tokens through three layers, top-2 of 8.
const StepRouting kStep{3, 2, 2, 0, 3, {0, 1, 2, 3, 4, 5, /* next token */ 1, 6, 3, 7, 0, 1}};
// One token; it is not routed at layer 0's second rank.
const StepRouting kNext{3, 2, 1, 0, 3, {7, -1, 5, 6, 2, 0}};
const PredictorContext kContext{.layers = 3, .experts = 8, .top_k = 2, .seed = 1, .accuracy = {{1.0}}};

std::vector<ExpertId> predict(Predictor& predictor, const StepRouting& step, const StepRouting* next,
                              int layer, int distance) {
  std::vector<ExpertId> out;
  predictor.predict(step, next, layer, distance, out);
  return out;
}

// A step of one token in two layers of 64 experts; its experts at layer 1 are given.
StepRouting one_token(std::vector<std::int16_t> truth) {
  const int k = static_cast<int>(truth.size());
  StepRouting step{2, k, 1, 0, 2, std::vector<std::int16_t>(truth.size(), 0)};
  step.experts.insert(step.experts.end(), truth.begin(), truth.end());
  return step;
}

}  // namespace

TEST_CASE("predictors: look-ahead counts layers in execution order, on into the next step and no farther") {
  CHECK(look_ahead(kStep, &kNext, 0, 2)->layer == 2);
  CHECK(look_ahead(kStep, &kNext, 0, 2)->step == &kStep);
  CHECK(look_ahead(kStep, &kNext, 2, 1)->layer == 0);
  CHECK(look_ahead(kStep, &kNext, 2, 1)->step == &kNext);
  CHECK(look_ahead(kStep, &kNext, 1, 4)->layer == 2);
  CHECK_FALSE(look_ahead(kStep, &kNext, 1, 5));
  CHECK_FALSE(look_ahead(kStep, nullptr, 2, 1));
}

TEST_CASE("predictors: look-ahead of an encoder's step goes on where the decoder's begins") {
  const StepRouting encoder{6, 1, 1, 0, 3, {}}, decoder{6, 1, 1, 3, 6, {}};
  CHECK(look_ahead(encoder, &decoder, 2, 1)->layer == 3);
  CHECK(look_ahead(decoder, &decoder, 5, 2)->layer == 4);
}

TEST_CASE("oracle: the true experts of a coming layer, each once, in the order of the tokens") {
  const auto oracle = make("oracle", kContext);
  CHECK((predict(*oracle, kStep, &kNext, 0, 1) == std::vector<ExpertId>{{1, 2}, {1, 3}, {1, 7}}));
  CHECK((predict(*oracle, kStep, &kNext, 0, 2) == std::vector<ExpertId>{{2, 4}, {2, 5}, {2, 0}, {2, 1}}));
  CHECK_FALSE(oracle->runs_router());
}

TEST_CASE("oracle: exact across the border of steps, and silent at the end of the run") {
  const auto oracle = make("oracle", kContext);
  CHECK(predict(*oracle, kStep, &kNext, 2, 1) == std::vector<ExpertId>{{0, 7}});  // rank 1 is not routed
  CHECK((predict(*oracle, kStep, &kNext, 2, 3) == std::vector<ExpertId>{{2, 2}, {2, 0}}));
  CHECK(predict(*oracle, kStep, nullptr, 2, 1).empty());
  CHECK(predict(*oracle, kStep, &kNext, 2, 4).empty());
}

TEST_CASE("gate: at accuracy 1 it is the oracle within the step, and cannot look into the next") {
  const auto gate = make("gate", kContext), oracle = make("oracle", kContext);
  for (int layer = 0; layer < 3; ++layer)
    for (int distance = 1; distance < 4; ++distance) {
      const auto named = predict(*gate, kStep, &kNext, layer, distance);
      if (layer + distance < 3)
        CHECK(named == predict(*oracle, kStep, &kNext, layer, distance));
      else
        CHECK(named.empty());
    }
  CHECK(gate->runs_router());
}

TEST_CASE("gate: names the right share, and always top-k distinct experts a token") {
  const std::vector<std::int16_t> truth{3, 17, 40, 63};
  const StepRouting step = one_token(truth);
  for (const double accuracy : {0.25, 0.7, 0.95}) {
    const auto gate = make("gate", {2, 64, 4, 1, nullptr, {{accuracy}}, 0});
    int right = 0;
    constexpr int tokens = 5000;
    for (int token = 0; token < tokens; ++token) {
      const auto named = predict(*gate, step, nullptr, 0, 1);
      REQUIRE(std::set(named.begin(), named.end()).size() == 4);
      for (const ExpertId id : named) {
        REQUIRE(id.layer == 1);
        right += std::count(truth.begin(), truth.end(), id.expert) > 0;
      }
    }
    // 20000 names, each right with this probability: four deviations.
    const double names = 4.0 * tokens, deviation = std::sqrt(accuracy * (1 - accuracy) / names);
    CHECK(std::abs(right / names - accuracy) < 4 * deviation);
  }
}

TEST_CASE("gate: wrong names are drawn evenly from the experts that are not the token's") {
  const StepRouting step = one_token({0, 1});
  const auto gate = make("gate", {2, 12, 2, 1, nullptr, {{0.0}}, 0});
  std::vector<int> named(12);
  constexpr int tokens = 10'000;
  for (int token = 0; token < tokens; ++token)
    for (const ExpertId id : predict(*gate, step, nullptr, 0, 1))
      ++named[static_cast<std::size_t>(id.expert)];
  CHECK(named[0] + named[1] == 0);
  // Two of ten a token: 2000 each, with a deviation of sqrt(10000 * 0.2 * 0.8) = 40.
  for (std::size_t expert = 2; expert < 12; ++expert) CHECK(std::abs(named[expert] - 2000) < 4 * 40);
}

TEST_CASE("gate: the curve is by target layer and distance - its last value holds beyond") {
  const StepRouting step{4, 1, 1, 0, 4, {0, 1, 2, 3}};
  const auto gate = make("gate", {4, 8, 1, 1, nullptr, {{1.0}, {1.0, 0.0}, {0.0, 1.0}, {0.0, 0.0, 1.0}}, 0});
  const auto right = [&](int layer, int distance) {
    return predict(*gate, step, nullptr, layer, distance) ==
           std::vector<ExpertId>{{layer + distance, layer + distance}};
  };
  for (int i = 0; i < 20; ++i) {
    CHECK(right(0, 1));        // layer 1 at distance 1
    CHECK_FALSE(right(1, 1));  // layer 2
    CHECK(right(0, 2));
    CHECK_FALSE(right(2, 1));  // layer 3
    CHECK_FALSE(right(1, 2));
    CHECK(right(0, 3));
  }
  const auto short_curve = make("gate", {4, 8, 1, 1, nullptr, {{0.0, 1.0}}, 0});  // one for all layers
  CHECK(predict(*short_curve, step, nullptr, 0, 3) == std::vector<ExpertId>{{3, 3}});
  CHECK(predict(*short_curve, step, nullptr, 0, 1) != std::vector<ExpertId>{{1, 1}});
}

TEST_CASE("gate: a token that is routed to fewer experts names as few, wrong ones if it must") {
  // Four ranks, one routed; of 4 experts three are wrong.
  const auto gate = make("gate", {2, 4, 4, 1, nullptr, {{0.0}}, 0});
  for (int i = 0; i < 20; ++i) {
    const auto named = predict(*gate, one_token({2, -1, -1, -1}), nullptr, 0, 1);
    REQUIRE(named.size() == 1);
    CHECK(named[0].expert != 2);
  }
}

TEST_CASE("gate: where all experts are the token's, no name can be wrong") {
  const auto gate = make("gate", {2, 2, 2, 1, nullptr, {{0.0}}, 0});
  CHECK((predict(*gate, one_token({1, 0}), nullptr, 0, 1) == std::vector<ExpertId>{{1, 1}, {1, 0}}));
}

TEST_CASE("gate: over a batch an expert is named once - the seed decides") {
  const auto run = [](std::uint64_t seed) {
    PredictorContext context = kContext;
    context.seed = seed;
    context.accuracy = {{0.5}};
    const auto gate = make("gate", context);
    std::vector<ExpertId> all;
    for (int i = 0; i < 50; ++i) {
      const auto named = predict(*gate, kStep, nullptr, 0, 1);
      REQUIRE(std::set(named.begin(), named.end()).size() == named.size());
      all.insert(all.end(), named.begin(), named.end());
    }
    return all;
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
  CHECK_THROWS_AS(make("gate", {2, 4, 1, 0, nullptr, {}, 0}), std::logic_error);
}

TEST_CASE("popularity: the most counted experts of the layer first, ties by number, whatever the token") {
  const ExpertCounts counts{{1, 2, 3}, {5, 9, 5}, {0, 0, 0}};
  PredictorContext context{3, 3, 2, 0, &counts, {}, 0};
  const StepRouting step{3, 2, 1, 0, 3, {0, 1, 0, 2, 0, 1}};
  const auto top_k = make("popularity", context);
  CHECK((predict(*top_k, step, nullptr, 0, 1) == std::vector<ExpertId>{{1, 1}, {1, 0}}));
  CHECK((predict(*top_k, step, nullptr, 0, 2) == std::vector<ExpertId>{{2, 0}, {2, 1}}));
  CHECK((predict(*top_k, step, &step, 2, 1) == std::vector<ExpertId>{{0, 2}, {0, 1}}));  // the next step
  CHECK(predict(*top_k, step, nullptr, 2, 1).empty());
  context.width = 1;
  CHECK(predict(*make("popularity", context), step, nullptr, 0, 1) == std::vector<ExpertId>{{1, 1}});
  context.width = 10;  // there are three
  CHECK(predict(*make("popularity", context), step, nullptr, 0, 1).size() == 3);
  context.popularity = nullptr;
  CHECK_THROWS_AS(make("popularity", context), std::logic_error);
}

TEST_CASE("predictors: the table says which need an accuracy, and 'none' makes nothing") {
  PredictorContext context{3, 8, 2, 1};
  for (const PredictorKind& kind : predictor_kinds()) {
    INFO(kind.name);
    CHECK((kind.maker == nullptr) == (kind.name == "none"));
    if (kind.needs_accuracy) CHECK_THROWS_AS(kind.make(context), std::logic_error);
    if (kind.needs_accuracy) CHECK(kind.reads_truth);
  }
  CHECK_FALSE(predictor_kinds().front().make(context));
}
