#include "sim/policies/start.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>

#include "tests/engine/random_scenario.hpp"

using namespace specmoe;

namespace {

std::vector<ExpertId> order(std::string_view name, std::uint64_t seed = 1) {
  static const ExpertCounts counts{{3, 9}, {9, 1}, {0, 5}};
  return start_named(name).order({3, 2, seed, &counts});
}
using Ids = std::vector<ExpertId>;

}  // namespace

TEST_CASE("start: front fills layer by layer, uniform gives every layer as many") {
  CHECK(order("front") == Ids{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 1}});
  CHECK(order("uniform") == Ids{{0, 0}, {1, 0}, {2, 0}, {0, 1}, {1, 1}, {2, 1}});
}

TEST_CASE("start: popular, also called frequency, takes the most used of all layers") {
  CHECK(order("popular") == Ids{{0, 1}, {1, 0}, {2, 1}, {0, 0}, {1, 1}, {2, 0}});
  CHECK(order("frequency") == order("popular"));
  CHECK_THROWS_AS(start_named("popular").order({3, 2, 1, nullptr}), std::logic_error);
}

TEST_CASE("start: random is every expert once, and the seed's") {
  Ids shuffled = order("random");
  CHECK(shuffled == order("random"));
  CHECK(shuffled != order("random", 2));
  std::sort(shuffled.begin(), shuffled.end());
  CHECK(shuffled == order("front"));
}

TEST_CASE("start: empty is nothing") { CHECK((start_named("empty").order == nullptr)); }
