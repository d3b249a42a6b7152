#include "models/moe/layer_graph.hpp"

#include <doctest/doctest.h>

using namespace specmoe;

namespace {

using enum Operator;
const Block kMoe{.moe_layer = 0};
const Block kDense{};
// attention 1, router 2, feed_forward 4, experts 8, combine 16: every sum of some of them is different
constexpr std::array<Seconds, kOperators> kDurations{{{1}, {2}, {4}, {8}, {16}}};

std::vector<Operator> order(const Block& block, bool shared) {
  const LayerGraph graph(block, shared);
  return {graph.issue_order().begin(), graph.issue_order().end()};
}

}  // namespace

TEST_CASE(
    "layer graph: the router is issued before the shared expert, the shared expert before the routed ones") {
  CHECK((order(kMoe, true) == std::vector{attention, router, feed_forward, experts, combine}));
}

TEST_CASE("layer graph: a block without a shared expert has no feed-forward, a dense block nothing else") {
  CHECK((order(kMoe, false) == std::vector{attention, router, experts, combine}));
  CHECK((order(kDense, false) == std::vector{attention, feed_forward}));
  CHECK((order(kDense, true) == std::vector{attention, feed_forward}));
}

TEST_CASE("layer graph: on one device the critical path is the sum of the block's operators") {
  CHECK(LayerGraph(kMoe, true).critical_path(kDurations) == Seconds{31});    // 1 + 2 + 4 + 8 + 16
  CHECK(LayerGraph(kMoe, false).critical_path(kDurations) == Seconds{27});   // without 4
  CHECK(LayerGraph(kDense, false).critical_path(kDurations) == Seconds{5});  // 1 + 4
}
