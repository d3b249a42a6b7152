#include "sim/policies/start.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "sim/base/random.hpp"

namespace specmoe {
namespace {

// Layer by layer: the first layers whole, as KTransformers' "front-loading".
std::vector<ExpertId> front(const StartContext& context) {
  std::vector<ExpertId> order;
  for (int layer = 0; layer < context.layers; ++layer)
    for (int expert = 0; expert < context.experts; ++expert) order.push_back({layer, expert});
  return order;
}

// The first expert of every layer, then the second: as many in each layer, as KTransformers' "uniform".
std::vector<ExpertId> uniform(const StartContext& context) {
  std::vector<ExpertId> order;
  for (int expert = 0; expert < context.experts; ++expert)
    for (int layer = 0; layer < context.layers; ++layer) order.push_back({layer, expert});
  return order;
}

std::vector<ExpertId> shuffled(const StartContext& context) {
  std::vector<ExpertId> order = front(context);
  Random random = Random::stream(context.seed, "placement");
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random.below(i)]);  // Fisher and Yates
  return order;
}

// The most used of all layers together, ties by layer and number.
std::vector<ExpertId> frequency(const StartContext& context) {
  if (!context.popularity) throw std::logic_error("start: by frequency, without counts");
  std::vector<ExpertId> order = front(context);
  const auto count = [&](ExpertId id) {
    return (*context.popularity)[static_cast<std::size_t>(id.layer)][static_cast<std::size_t>(id.expert)];
  };
  std::stable_sort(order.begin(), order.end(), [&](ExpertId a, ExpertId b) { return count(a) > count(b); });
  return order;
}

}  // namespace

std::span<const StartKind> start_kinds() {
  static constexpr std::array kinds{
      StartKind{"empty", "nothing", "", false, nullptr},
      StartKind{"popular", "the most used experts of requests that the run does not use",
                "Fiddler (2402.07033)", true, frequency},
      StartKind{"frequency", "the same, by KTransformers' name", "KTransformers (kt-kernel)", true,
                frequency},
      StartKind{"uniform", "as many of every layer, by number", "KTransformers (kt-kernel)", false, uniform},
      StartKind{"front", "the first layers whole", "KTransformers (kt-kernel), llama.cpp", false, front},
      StartKind{"random", "random experts, by the seed", "KTransformers (kt-kernel)", false, shuffled},
  };
  return kinds;
}

}  // namespace specmoe
