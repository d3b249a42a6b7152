// LFU with ageing: all counts are halved every `period` accesses, so that what was popular once does not stay for
// ever (Robinson & Devarakonda, SIGMETRICS 1990, halve when the mean count exceeds a bound; Maffeis 1993). Halving all
// keeps their order, so the counts stay and a use counts twice as much after each period.
#include <set>
#include <tuple>

#include "sim/policies/eviction.hpp"

namespace specmoe {
namespace {

class LfuAgeing : public EvictionPolicy {
 public:
  explicit LfuAgeing(const EvictionContext& context)
      : context_(context), period_(context.parameters.whole("period")), keys_(context.all_experts()) {}

  void entered(ExpertId id) override { rank(id, {key(id).uses, ++clock_}); }
  void used(ExpertId id) override {
    left(id);
    rank(id, {key(id).uses + use_, ++clock_});
    if (++accesses_ % period_ == 0) use_ *= 2;
    if (use_ > 0x1p500) rescale();
  }
  void left(ExpertId id) override { order_.erase({key(id).uses, key(id).last, id}); }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    for (const auto& [uses, last, id] : order_)
      if (may_leave(id)) return id;
    return std::nullopt;
  }

 private:
  struct Key {
    double uses = 0;
    std::int64_t last = 0;
  };
  Key& key(ExpertId id) { return keys_[context_.index(id)]; }
  void rank(ExpertId id, Key to) {
    key(id) = to;
    order_.emplace(to.uses, to.last, id);
  }
  void rescale() {
    for (Key& each : keys_) each.uses /= use_;
    use_ = 1;
    std::set<std::tuple<double, std::int64_t, ExpertId>> order;
    for (const auto& [uses, last, id] : order_) order.emplace(key(id).uses, last, id);
    order_.swap(order);
  }

  EvictionContext context_;
  std::int64_t period_, clock_ = 0, accesses_ = 0;
  double use_ = 1;
  std::vector<Key> keys_;  // kept when an expert leaves
  std::set<std::tuple<double, std::int64_t, ExpertId>> order_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_lfu_ageing(const EvictionContext& context) {
  return std::make_unique<LfuAgeing>(context);
}

}  // namespace specmoe
