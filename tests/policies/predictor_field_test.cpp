// A textbook example for each predictor of the field and of the seed.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/policies/steps.hpp"

using namespace specmoe;
using namespace specmoe::testing;

TEST_CASE("previous-token: each sequence's last experts of the coming layer, also of the next step") {
  const auto predictor = predictor_named("previous-token").make(context(2, 8, 2));
  const StepRouting first = step_of(2, 2, {0, 1, 2, 3, /* request 1 */ 4, 5, 3, 6});
  const StepRouting second = step_of(2, 2, {7, 6, 5, 4, /* request 1 */ 0, 1, 2, 7});
  predictor->observe(first, 0);
  CHECK(ask(*predictor, first, &second, 0, 1).empty());  // layer 1 has not been seen
  CHECK(ask(*predictor, first, &second, 0, 2) == Ids{{0, 0}, {0, 1}, {0, 4}, {0, 5}});
  predictor->observe(first, 1);
  predictor->observe(second, 0);
  CHECK(ask(*predictor, second, nullptr, 0, 1) == Ids{{1, 2}, {1, 3}, {1, 6}});  // 3 is both's
  // A step of request 1 alone.
  const StepRouting third = step_of(2, 2, {0, 0, 0, 0}, 1);
  predictor->observe(third, 0);
  CHECK(ask(*predictor, third, nullptr, 0, 1) == Ids{{1, 3}, {1, 6}});
}

TEST_CASE("top-k: the most used of the last tokens, ties by number") {
  PredictorContext c = context(2, 8, 1);
  c.parameters.set("history", 3);
  c.width = 2;
  const auto predictor = predictor_named("top-k").make(c);
  for (const std::int16_t expert : {5, 4, 4, 3}) pass(*predictor, step_of(2, 1, {0, expert}));
  const StepRouting now = step_of(2, 1, {0, 7});
  // Of 4 4 3, the last three, 4 leads; 5 is forgotten.
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 4}, {1, 3}});
}

TEST_CASE("transition: names what tokens at the present expert went on to most, at each distance") {
  const auto predictor = predictor_named("transition").make(context(3, 8, 1));
  for (const auto& path : std::vector<std::vector<std::int16_t>>{{0, 1, 2}, {0, 1, 3}, {0, 4, 3}, {5, 6, 7}})
    pass(*predictor, step_of(3, 1, path));
  const StepRouting now = step_of(3, 1, {0, 6, 0});
  predictor->observe(now, 0);
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 1}});  // two of three went from 0 to 1
  CHECK(ask(*predictor, now, nullptr, 0, 2) == Ids{{2, 3}});  // two of three to 3 in the layer after
  CHECK(ask(*predictor, now, nullptr, 0, 3).empty());         // the next step
  predictor->observe(now, 1);
  CHECK(ask(*predictor, now, nullptr, 1, 1) == Ids{{2, 7}});
}

TEST_CASE("transition: with fade the last tokens weigh more") {
  PredictorContext c = context(2, 8, 1);
  c.parameters.set("fade", 0.6);
  const auto predictor = predictor_named("transition").make(c);
  for (const std::int16_t to : {1, 1, 1, 2}) pass(*predictor, step_of(2, 1, {0, to}));
  const StepRouting now = step_of(2, 1, {0, 0});
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 2}});  // .6 against .4 for the three before
}

TEST_CASE("trace-match: goes on as the finished sequence that is most alike") {
  const auto predictor = predictor_named("trace-match").make(context(2, 8, 1));
  const auto run = [&](std::int64_t request, std::vector<std::int16_t> path) {
    pass(*predictor, step_of(2, 1, std::move(path), request));
  };
  run(0, {0, 1});
  // None has finished: as it did so far.
  const StepRouting own = step_of(2, 1, {0, 2}, 0);
  predictor->observe(own, 0);
  CHECK(ask(*predictor, own, nullptr, 0, 1) == Ids{{1, 1}});
  predictor->observe(own, 1);
  run(0, {0, 2});  // request 0: layer 0 has 3 x 0; layer 1 has 1, 2, 2
  run(1, {4, 5});
  run(2, {4, 6});
  run(2, {4, 6});
  // Request 3 begins with 0 as request 0 did, request 4 with 4: cosine 1 with 1 and 2, of which 1 finished first.
  const StepRouting like0 = step_of(2, 1, {0, 7}, 3), like1 = step_of(2, 1, {4, 7}, 4);
  predictor->observe(like0, 0);
  CHECK(ask(*predictor, like0, nullptr, 0, 1) == Ids{{1, 2}});
  predictor->observe(like1, 0);
  CHECK(ask(*predictor, like1, nullptr, 0, 1) == Ids{{1, 5}});
}

TEST_CASE("trace-match: a full collection replaces what is most like the new one") {
  PredictorContext c = context(2, 8, 1);
  c.parameters.set("matrices", 2);
  const auto predictor = predictor_named("trace-match").make(c);
  // 0: {0 1}, 1: {4 5}, 2: {4 6}: like 1 in layer 0, so it takes 1's place.
  for (const auto& [request, path] :
       std::vector<std::pair<std::int64_t, std::vector<std::int16_t>>>{{0, {0, 1}}, {1, {4, 5}}, {2, {4, 6}}})
    pass(*predictor, step_of(2, 1, path, request));
  const StepRouting now = step_of(2, 1, {4, 7}, 3), other = step_of(2, 1, {0, 7}, 4);
  predictor->observe(now, 0);
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 6}});
  predictor->observe(other, 0);
  CHECK(ask(*predictor, other, nullptr, 0, 1) == Ids{{1, 1}});
}

TEST_CASE("expert-map: the less alike, the more are named") {
  const auto predictor = predictor_named("expert-map").make(context(2, 8, 2));
  StepRouting stored = step_of(2, 2, {0, 1, 2, 3});
  stored.weights = {0.8F, 0.6F, 0.7F, 0.3F};
  pass(*predictor, stored);
  // The same in layer 0: cosine 1, so that nothing more than the top 2 is wanted.
  predictor->observe(stored, 0);
  CHECK(ask(*predictor, stored, nullptr, 0, 1) == Ids{{1, 2}, {1, 3}});
  predictor->observe(stored, 1);
  // With one chosen expert a layer: top-1 first; cosine .8 leaves .2, and the first has .7 of it: one name.
  const auto one = predictor_named("expert-map").make(context(2, 8, 1));
  StepRouting prompt = step_of(2, 1, {0, 2, 0, 2, 0, 2, 1, 3});  // four tokens of one request
  prompt.requests.assign(4, 0);
  pass(*one, prompt);  // layer 0: .75, .25; layer 1: .75, .25
  StepRouting far = step_of(2, 1, {1, 4});
  one->observe(far, 0);
  // cosine = .25 / sqrt(.625) = .316: .684 is wanted, .75 is enough.
  CHECK(ask(*one, far, nullptr, 0, 1) == Ids{{1, 2}});
  one->observe(far, 1);
  StepRouting prompt2 = step_of(2, 1, {5, 5, 5, 6, 5, 7, 6, 5});
  prompt2.requests.assign(4, 1);
  pass(*one, prompt2);  // layer 0: 5 .75, 6 .25; layer 1: 5 .5, 6 .25, 7 .25
  StepRouting near = step_of(2, 1, {6, 0});
  one->observe(near, 0);
  // .684 again, of .5 .25 .25: two.
  CHECK(ask(*one, near, nullptr, 0, 1) == Ids{{1, 5}, {1, 6}});
}

TEST_CASE("intelligent: names what its confidence is enough for, as many as come true") {
  PredictorContext c = context(2, 8, 1);
  c.parameters.set("most", 3);
  const auto predictor = predictor_named("intelligent").make(c);
  pass(*predictor, step_of(2, 1, {0, 1}));
  const StepRouting now = step_of(2, 1, {0, 1});
  predictor->observe(now, 0);
  // Expert 1: .3 * 1/1 + .3 * 1 + .4 * 1 = 1; no other has been used.
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 1}});
  CHECK(ask(*predictor, now, nullptr, 0, 2).empty());  // one layer ahead only
  predictor->observe(now, 1);                          // it was right: two a token from now on
  const StepRouting other = step_of(2, 1, {0, 2});
  predictor->observe(other, 0);
  ask(*predictor, other, nullptr, 0, 1);
  predictor->observe(other, 1);  // wrong: one again
  predictor->observe(now, 0);
  // 1: .3 * 2/2 + .3 e^-.1 + .4 * (.95 of at least 2/3) > 2: .3 * 1/2 + .3 + .4 / 3 = .58.
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 1}});
}

TEST_CASE("all: every expert of the coming layer, also of the next step") {
  const auto predictor = predictor_named("all").make(context(2, 3, 1));
  const StepRouting now = step_of(2, 1, {0, 0});
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 0}, {1, 1}, {1, 2}});
  CHECK(ask(*predictor, now, &now, 1, 1) == Ids{{0, 0}, {0, 1}, {0, 2}});
  CHECK(ask(*predictor, now, nullptr, 1, 1).empty());
}

TEST_CASE("pre-gated: the truth of the next layer, nothing beyond, nothing of the next step") {
  const auto predictor = predictor_named("pre-gated").make(context(3, 8, 2));
  const StepRouting now = step_of(3, 2, {0, 1, 2, 3, 4, 5});
  CHECK(ask(*predictor, now, &now, 0, 1) == Ids{{1, 2}, {1, 3}});
  CHECK(ask(*predictor, now, &now, 0, 2).empty());
  CHECK(ask(*predictor, now, &now, 2, 1).empty());
  CHECK_FALSE(predictor->runs_router());
}

TEST_CASE("gate-until-miss: looks on while all that it names is held") {
  PredictorContext c = context(4, 8, 1);
  std::set<ExpertId> held{{1, 1}};
  c.held = [&](ExpertId id) { return held.contains(id); };
  const auto predictor = predictor_named("gate-until-miss").make(c);
  const StepRouting now = step_of(4, 1, {0, 1, 2, 3});
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 1}});  // held: go on
  CHECK(ask(*predictor, now, nullptr, 0, 2) == Ids{{2, 2}});  // not held: stop
  CHECK(ask(*predictor, now, nullptr, 0, 3).empty());
  CHECK(ask(*predictor, now, nullptr, 1, 1) == Ids{{2, 2}});  // each layer begins anew
}

TEST_CASE("horizon: grows by a layer a step while experts are missing, shrinks while it errs") {
  PredictorContext c = context(4, 8, 1);
  bool all_held = false;
  c.held = [&](ExpertId) { return all_held; };
  const auto predictor = predictor_named("horizon").make(c);
  const StepRouting now = step_of(4, 1, {0, 1, 2, 3});
  const auto depth = [&](const StepRouting& step) {
    predictor->observe(step, 0);
    int far = 0;
    for (int distance = 1; distance <= 3; ++distance)
      far += !ask(*predictor, step, nullptr, 0, distance).empty();
    for (int layer = 1; layer < 4; ++layer) predictor->observe(step, layer);
    return far;
  };
  CHECK(depth(now) == 1);
  CHECK(depth(now) == 2);
  CHECK(depth(now) == 3);
  CHECK(depth(now) == 3);  // the window's end
  all_held = true;
  CHECK(depth(now) == 3);  // decided on the step before
  CHECK(depth(now) == 3);  // nothing is missing: as it is

  c.accuracy = {{0.0}};
  all_held = false;
  const auto wrong = predictor_named("horizon").make(c);
  for (int i = 0; i < 4; ++i) {
    wrong->observe(now, 0);
    CHECK(ask(*wrong, now, nullptr, 0, 1).size() == 1);
    CHECK(ask(*wrong, now, nullptr, 0, 2).empty());
    for (int layer = 1; layer < 4; ++layer) wrong->observe(now, layer);
  }
}

TEST_CASE("path: names all layers once a step and keeps to it") {
  PredictorContext c = context(4, 64, 2);
  c.accuracy = {{1.0, 0.5}};
  const auto predictor = predictor_named("path").make(c);
  const StepRouting now = step_of(4, 2, {0, 1, 2, 3, 4, 5, 6, 7});
  predictor->observe(now, 0);
  CHECK(ask(*predictor, now, nullptr, 0, 1) == Ids{{1, 2}, {1, 3}});
  const Ids far = ask(*predictor, now, nullptr, 0, 3);
  CHECK(far.size() == 2);
  predictor->observe(now, 1);
  CHECK(ask(*predictor, now, nullptr, 1, 2) == far);  // not drawn again
}

TEST_CASE("multi-look-ahead: candidates as far as the accuracy is above the confidence") {
  PredictorContext c = context(4, 64, 1);
  c.accuracy = {{1.0, 0.8, 0.6}};
  c.width = 5;
  const auto predictor = predictor_named("multi-look-ahead").make(c);
  const StepRouting now = step_of(4, 1, {0, 1, 2, 3});
  const Ids near = ask(*predictor, now, nullptr, 0, 1);
  CHECK(near.size() == 5);
  CHECK(near.front() == ExpertId{1, 1});
  CHECK(ask(*predictor, now, nullptr, 0, 2).size() == 5);
  CHECK(ask(*predictor, now, nullptr, 0, 3).empty());  // .6 < .7
}
