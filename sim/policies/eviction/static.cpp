// Static placement: what the cache was filled with before the run stays; experts that a miss brings are guests, and
// the newest guest leaves first, so that one slot serves all misses. Residents leave only when no guest can, those that
// entered first before the others.
#include <algorithm>

#include "sim/policies/eviction.hpp"

namespace specmoe {
namespace {

class Static : public EvictionPolicy {
 public:
  explicit Static(const EvictionContext&) {}

  void started() override { running_ = true; }
  void entered(ExpertId id) override { (running_ ? guests_ : residents_).push_back(id); }
  void used(ExpertId) override {}
  void left(ExpertId id) override {
    const auto guest = std::find(guests_.rbegin(), guests_.rend(), id);
    if (guest != guests_.rend())
      guests_.erase(guest.base() - 1);
    else
      residents_.erase(std::find(residents_.begin(), residents_.end(), id));
  }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    const auto guest = std::find_if(guests_.rbegin(), guests_.rend(), may_leave);
    if (guest != guests_.rend()) return *guest;
    const auto resident = std::find_if(residents_.begin(), residents_.end(), may_leave);
    return resident == residents_.end() ? std::nullopt : std::optional(*resident);
  }

 private:
  bool running_ = false;
  std::vector<ExpertId> residents_, guests_;  // by entry
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_static(const EvictionContext& context) {
  return std::make_unique<Static>(context);
}

}  // namespace specmoe
