// Victim cache (Jouppi, ISCA 1990) in GPU memory: every layer has an equal share of the pool, in order of recency, and
// what a share has no room for waits in a buffer common to all. A use brings it back to its share, for that share's
// least recent; the buffer's first leaves the GPU. Nothing is copied between the two: an expert stays where it is and
// is counted elsewhere. The buffer also has what the shares do not fill.
#include <algorithm>

#include "sim/policies/eviction/order.hpp"

namespace specmoe {
namespace {

class Victim : public EvictionPolicy {
 public:
  explicit Victim(const EvictionContext& context)
      : context_(context),
        buffer_(static_cast<std::size_t>(context.layers)),
        room_(context.share((1 - context.parameters.number("buffer")) / std::max(1, context.pool_layers))),
        parts_(context, buffer_ + 1),
        recency_(context) {}

  void entered(ExpertId id) override {
    recency_.add_last(id);
    parts_.add_last(share(id), id);
    overflow(share(id));
  }
  void used(ExpertId id) override {
    recency_.move_last(id);
    parts_.move_last(share(id), id);
    overflow(share(id));
  }
  void left(ExpertId id) override {
    recency_.remove(id);
    parts_.remove(id);
  }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    if (const auto id = parts_.first(buffer_, may_leave)) return id;
    return recency_.first(may_leave);
  }

 private:
  static std::size_t share(ExpertId id) { return static_cast<std::size_t>(id.layer); }
  void overflow(std::size_t share) {
    while (parts_.used(share) > room_) parts_.move_last(buffer_, parts_.oldest(share));
  }

  EvictionContext context_;
  std::size_t buffer_;  // the part after the layers' shares
  Bytes room_;          // of a share
  Partitions parts_;
  LeavingOrder recency_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_victim(const EvictionContext& context) {
  return std::make_unique<Victim>(context);
}

}  // namespace specmoe
