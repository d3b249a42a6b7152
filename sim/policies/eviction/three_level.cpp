// The seed's iso-cache: three levels of 40, 40 and 20 % of the pool, each in order of recency. A miss enters the third;
// a use lifts an expert by one level; what a level has no room for, its least recent, falls to the level below, and
// from the third leaves. All of it is GPU memory: levels are parts of the pool, a hit in each costs the same, and
// nothing is copied between them. The third also has what the first two do not fill, so that no memory is idle; it gives
// way as they fill.
//
// The seed's code (iso_cache_framework.py) gave the levels latencies of 0.1, 0.5 and 2 ms that no memory has, keyed
// experts without their layer, prefetched at no cost into a level of its choice, and raised KeyError on every hit in
// the second and third level.
#include <array>
#include <utility>

#include "sim/policies/eviction/order.hpp"

namespace specmoe {
namespace {

class ThreeLevel : public EvictionPolicy {
 public:
  explicit ThreeLevel(const EvictionContext& context)
      : room_{context.share(context.parameters.number("first")),
              context.share(context.parameters.number("second"))},
        levels_(context, 3) {}

  void routed(const StepRouting&, int) override { missed_.reset(); }
  void entered(ExpertId id) override {
    levels_.add_last(2, id);
    missed_ = id;
  }
  void used(ExpertId id) override {
    // The use that a miss was for. What a prefetch brought is used after its layer's routing.
    if (std::exchange(missed_, std::nullopt) == id) return;
    const std::size_t level = levels_.part_of(id);
    levels_.move_last(level == 0 ? 0 : level - 1, id);
    for (const std::size_t full : {0, 1})
      while (levels_.used(full) > room_[full]) levels_.move_last(full + 1, levels_.oldest(full));
  }
  void left(ExpertId id) override { levels_.remove(id); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    for (const std::size_t level : {2, 1, 0})
      if (const auto id = levels_.first(level, may_leave)) return id;
    return std::nullopt;
  }

 private:
  std::array<Bytes, 2> room_;
  Partitions levels_;
  std::optional<ExpertId> missed_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_three_level(const EvictionContext& context) {
  return std::make_unique<ThreeLevel>(context);
}

}  // namespace specmoe
