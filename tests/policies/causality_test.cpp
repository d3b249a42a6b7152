// Predictors that learn, and policies, know no future.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/policies/steps.hpp"

using namespace specmoe;
using namespace specmoe::testing;

TEST_CASE("predictors: those that learn name the same whatever the rows to come are") {
  for (const PredictorKind& kind : predictor_kinds()) {
    if (!kind.maker || kind.reads_truth || kind.name == "external") continue;
    CAPTURE(kind.name);
    constexpr int kLayers = 4, kExperts = 12, kRanks = 2, kSteps = 12;
    const ExpertCounts counts(kLayers, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    PredictorContext c = context(kLayers, kExperts, kRanks);
    c.popularity = &counts;
    Random random(5);
    const auto draw = [&] {
      std::vector<std::int16_t> rows;
      for (int i = 0; i < 2 * kLayers; ++i) {
        const auto first = static_cast<std::int16_t>(random.below(kExperts));
        rows.push_back(first);
        rows.push_back(
            static_cast<std::int16_t>((first + 1 + static_cast<int>(random.below(kExperts - 1))) % kExperts));
      }
      return step_of(kLayers, kRanks, rows, 2 * static_cast<std::int64_t>(random.below(2)));
    };
    std::vector<StepRouting> steps;
    for (int i = 0; i < kSteps; ++i) steps.push_back(draw());
    const auto honest = kind.make(c), misled = kind.make(c);
    std::size_t names = 0;
    for (std::size_t i = 0; i + 1 < steps.size(); ++i)
      for (int layer = 0; layer < kLayers; ++layer) {
        // The other sees the truth up to this layer, and rubbish after it.
        StepRouting now = steps[i], next = draw();
        next.requests = steps[i + 1].requests;
        for (std::int64_t token = 0; token < now.tokens; ++token)
          for (int l = layer + 1; l < kLayers; ++l)
            for (int rank = 0; rank < kRanks; ++rank)
              now.experts[static_cast<std::size_t>((token * kLayers + l) * kRanks + rank)] =
                  static_cast<std::int16_t>(
                      next.experts[static_cast<std::size_t>((token * kLayers + l) * kRanks + rank)]);
        honest->observe(steps[i], layer);
        misled->observe(now, layer);
        for (int distance = 1; distance <= 3; ++distance) {
          const Ids named = ask(*honest, steps[i], &steps[i + 1], layer, distance);
          REQUIRE(named == ask(*misled, now, &next, layer, distance));
          REQUIRE(std::set(named.begin(), named.end()).size() == named.size());
          names += named.size();
        }
      }
    CHECK(names > 0);
  }
}

TEST_CASE("eviction: policies choose the same whatever the rows to come are") {
  for (const EvictionKind& kind : eviction_kinds()) {
    if (kind.needs_future) continue;
    CAPTURE(kind.name);
    constexpr int kLayers = 4, kExperts = 12, kSlots = 20;
    const std::vector<Bytes> bytes(kLayers, Bytes{1});
    const EvictionContext context{kLayers, kExperts, 1, nullptr, Bytes{kSlots}, kLayers, bytes};
    const auto honest = kind.make(context), misled = kind.make(context);
    Random random(7);
    const auto draw = [&] {
      std::vector<std::int16_t> rows;
      for (int i = 0; i < kLayers; ++i) rows.push_back(static_cast<std::int16_t>(random.below(kExperts)));
      return step_of(kLayers, 1, rows);
    };
    std::set<ExpertId> held;
    for (int i = 0; i < 200; ++i) {
      StepRouting step = draw();
      step.prefill = i % 20 < 5;
      for (int layer = 0; layer < kLayers; ++layer) {
        StepRouting other = draw();
        other.prefill = step.prefill;
        std::copy_n(step.experts.begin(), layer + 1, other.experts.begin());
        honest->routed(step, layer);
        misled->routed(other, layer);
        const ExpertId id{layer, step.at(0, layer)[0]};
        if (!held.contains(id)) {
          if (held.size() == kSlots) {
            const auto leaver = honest->victim([](ExpertId) { return true; });
            REQUIRE(leaver == misled->victim([](ExpertId) { return true; }));
            held.erase(*leaver);
            honest->left(*leaver);
            misled->left(*leaver);
          }
          held.insert(id);
          honest->entered(id);
          misled->entered(id);
        }
        honest->used(id);
        misled->used(id);
      }
    }
    CHECK(held.size() == kSlots);
  }
}
