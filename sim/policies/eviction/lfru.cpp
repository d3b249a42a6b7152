// Least frequent recently used (Bilal & Kang, arXiv 1702.04078): a privileged part of the pool in order of recency,
// the rest in order of frequency. What enters or is used is privileged; what the privileged part has no room for, its
// least recent, falls to the rest; of the rest the least frequently used leaves. Uses are counted since an expert
// entered (the paper counts in a window of time).
#include <set>
#include <tuple>

#include "sim/policies/eviction/order.hpp"

namespace specmoe {
namespace {

class Lfru : public EvictionPolicy {
 public:
  explicit Lfru(const EvictionContext& context)
      : context_(context),
        room_(context.share(context.parameters.number("privileged"))),
        privileged_(context, 1),
        entries_(context.all_experts()) {}

  void entered(ExpertId id) override { privilege(id, 0); }
  void used(ExpertId id) override {
    left(id);
    privilege(id, entry(id).uses + 1);
  }
  void left(ExpertId id) override {
    if (entry(id).privileged)
      privileged_.remove(id);
    else
      rest_.erase({entry(id).uses, entry(id).last, id});
  }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    for (const auto& [uses, last, id] : rest_)
      if (may_leave(id)) return id;
    return privileged_.first(0, may_leave);
  }

 private:
  struct Entry {
    bool privileged = false;
    std::int64_t uses = 0, last = 0;
  };
  Entry& entry(ExpertId id) { return entries_[context_.index(id)]; }
  void privilege(ExpertId id, std::int64_t uses) {
    entry(id) = {true, uses, ++clock_};
    privileged_.add_last(0, id);
    while (privileged_.used(0) > room_) {
      const ExpertId oldest = privileged_.oldest(0);
      privileged_.remove(oldest);
      entry(oldest).privileged = false;
      rest_.emplace(entry(oldest).uses, entry(oldest).last, oldest);
    }
  }

  EvictionContext context_;
  Bytes room_;
  Partitions privileged_;
  std::set<std::tuple<std::int64_t, std::int64_t, ExpertId>> rest_;
  std::vector<Entry> entries_;
  std::int64_t clock_ = 0;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_lfru(const EvictionContext& context) {
  return std::make_unique<Lfru>(context);
}

}  // namespace specmoe
