#include "models/moe/layer_graph.hpp"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/topological_sort.hpp>
#include <iterator>

namespace specmoe {

LayerGraph::LayerGraph(const Block& block, bool has_shared_expert) {
  using enum Operator;
  if (block.moe_layer < 0) {
    edges_ = {{attention, feed_forward}};
  } else {
    edges_ = {{attention, router}, {router, experts}, {experts, combine}};
    if (has_shared_expert) {
      edges_.insert(edges_.end(), {{attention, feed_forward}, {feed_forward, combine}});
      // Not data but the one device: the shared expert runs between the router and the routed experts.
      edges_.insert(edges_.end(), {{router, feed_forward}, {feed_forward, experts}});
    }
  }
  boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS> graph(kOperators);
  for (const auto& [before, after] : edges_)
    boost::add_edge(static_cast<std::size_t>(before), static_cast<std::size_t>(after), graph);
  std::vector<std::size_t> last_first;
  boost::topological_sort(graph, std::back_inserter(last_first));
  // Operators that the block lacks are vertices without edges.
  for (auto vertex = last_first.rbegin(); vertex != last_first.rend(); ++vertex)
    if (boost::degree(*vertex, graph) > 0) order_.push_back(static_cast<Operator>(*vertex));
}

Seconds LayerGraph::critical_path(const std::array<Seconds, kOperators>& durations) const {
  std::array<Seconds, kOperators> start{}, end{};
  Seconds longest;
  for (const Operator op : order_) {
    const auto i = static_cast<std::size_t>(op);
    end[i] = start[i] + durations[i];
    longest = std::max(longest, end[i]);
    for (const auto& [before, after] : edges_) {
      if (before != op) continue;
      Seconds& next = start[static_cast<std::size_t>(after)];
      next = std::max(next, end[i]);
    }
  }
  return longest;
}

}  // namespace specmoe
