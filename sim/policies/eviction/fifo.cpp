// First in, first out: experts leave in the order in which they entered; use does not matter.
#include "sim/policies/eviction/order.hpp"

namespace specmoe {
namespace {

class Fifo : public EvictionPolicy {
 public:
  explicit Fifo(const EvictionContext& context) : order_(context) {}

  void entered(ExpertId id) override { order_.add_last(id); }
  void used(ExpertId) override {}
  void left(ExpertId id) override { order_.remove(id); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    return order_.first(may_leave);
  }

 private:
  LeavingOrder order_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_fifo(const EvictionContext& context) {
  return std::make_unique<Fifo>(context);
}

}  // namespace specmoe
