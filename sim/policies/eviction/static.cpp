// Static placement: what the cache was filled with before the run stays; experts that a miss brings are
// guests, and the newest guest leaves first, so that one slot serves all misses. Residents leave only when no
// guest can.
#include <algorithm>

#include "sim/policies/eviction.hpp"

namespace specmoe {
namespace {

class Static : public EvictionPolicy {
 public:
  explicit Static(const EvictionContext&) {}

  void entered(ExpertId id) override { order_.push_back(id); }
  void used(ExpertId) override {}
  void left(ExpertId id) override { order_.erase(std::find(order_.rbegin(), order_.rend(), id).base() - 1); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    const auto found = std::find_if(order_.rbegin(), order_.rend(), may_leave);
    return found == order_.rend() ? std::nullopt : std::optional(*found);
  }

 private:
  std::vector<ExpertId> order_;  // by entry; the start's residents come first
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_static(const EvictionContext& context) {
  return std::make_unique<Static>(context);
}

}  // namespace specmoe
