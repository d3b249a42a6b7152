// Least recently used: every use moves an expert to the end of the order in which they leave.
#include "sim/policies/eviction/order.hpp"

namespace specmoe {
namespace {

class Lru : public EvictionPolicy {
 public:
  explicit Lru(const EvictionContext& context) : order_(context) {}

  void entered(ExpertId id) override { order_.add_last(id); }
  void used(ExpertId id) override { order_.move_last(id); }
  void left(ExpertId id) override { order_.remove(id); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    return order_.first(may_leave);
  }

 private:
  LeavingOrder order_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_lru(const EvictionContext& context) {
  return std::make_unique<Lru>(context);
}

}  // namespace specmoe
