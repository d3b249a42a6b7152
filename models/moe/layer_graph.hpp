// The operators of one transformer block as a directed acyclic graph (Boost.Graph).
#pragma once
#include <array>
#include <span>
#include <vector>

#include "models/moe/model.hpp"
#include "sim/base/units.hpp"

namespace specmoe {

/// Operators of a block. A dense block has attention and feed_forward only.
enum class Operator { attention, router, feed_forward, experts, combine };
constexpr std::size_t kOperators = 5;

/// Which operator needs which. Operators of one device run one after another in issue order, and the graph
/// has an edge for that too, so that its longest path is a bound that one device can reach.
class LayerGraph {
 public:
  explicit LayerGraph(const Block& block, bool has_shared_expert);

  /// A topological order: the router comes before the shared expert, so that the host learns of the routing
  /// while the device is busy.
  std::span<const Operator> issue_order() const { return order_; }
  /// The longest path through the block, given the duration of each operator (indexed by Operator).
  Seconds critical_path(const std::array<Seconds, kOperators>& durations) const;

 private:
  std::vector<Operator> order_;
  std::vector<std::pair<Operator, Operator>> edges_;
};

}  // namespace specmoe
