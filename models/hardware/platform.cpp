#include "models/hardware/platform.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/breadth_first_search.hpp>
#include <optional>

#include "sim/base/input_error.hpp"

namespace specmoe {

template <class T>
static int index_named(const std::vector<T>& all, std::string_view name, const char* what,
                       const std::string& file) {
  std::string names;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return static_cast<int>(i);
    names += (i ? ", " : "") + all[i].name;
  }
  throw InputError(file, 0, fmt::format("no {} \"{}\"", what, name), "one of " + names);
}

MemoryId Platform::memory(std::string_view name_) const {
  return {index_named(memories, name_, "memory", file_)};
}
DeviceId Platform::device(std::string_view name_) const {
  return {index_named(devices, name_, "device", file_)};
}
DeviceId Platform::first(Device::Kind kind) const {
  for (std::size_t i = 0; i < devices.size(); ++i)
    if (devices[i].kind == kind) return {static_cast<int>(i)};
  throw InputError(file_, 0, fmt::format("{}: no {}", name, kind == Device::Kind::gpu ? "gpu" : "cpu"),
                   "one among its devices");
}

bool Platform::has_power() const {
  return std::all_of(devices.begin(), devices.end(),
                     [](const Device& device) { return device.power.has_value(); });
}

// The nodes are the memories, then the switches; breadth first from `from`, in the order of the links, so
// that of equally short ways the one over the first links is taken.
Route Platform::route(MemoryId from, MemoryId to) const {
  using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, boost::no_property, Hop>;
  Graph graph(memories.size() + switches.size());
  const auto node = [&](const std::string& end) {
    for (std::size_t i = 0; i < memories.size(); ++i)
      if (memories[i].name == end) return i;
    return memories.size() +
           static_cast<std::size_t>(std::find(switches.begin(), switches.end(), end) - switches.begin());
  };
  for (std::size_t i = 0; i < links.size(); ++i) {
    boost::add_edge(node(links[i].a), node(links[i].b), Hop{static_cast<int>(i), true}, graph);
    boost::add_edge(node(links[i].b), node(links[i].a), Hop{static_cast<int>(i), false}, graph);
  }
  using Edge = boost::graph_traits<Graph>::edge_descriptor;
  std::vector<std::optional<Edge>> came_by(boost::num_vertices(graph));
  struct Visitor : boost::default_bfs_visitor {
    explicit Visitor(std::vector<std::optional<Edge>>& edges) : came(edges) {}
    void tree_edge(const Edge& edge, const Graph& g) { came[boost::target(edge, g)] = edge; }
    std::vector<std::optional<Edge>>& came;
  };
  const auto start = static_cast<std::size_t>(from.index);
  boost::breadth_first_search(graph, start, boost::visitor(Visitor(came_by)));
  Route route{from, to, {}};
  for (auto at = static_cast<std::size_t>(to.index); at != start; at = boost::source(*came_by[at], graph)) {
    if (!came_by[at])
      throw InputError(file_, 0,
                       fmt::format("{}: no route from {} to {}", name, (*this)[from].name, (*this)[to].name),
                       "links that join them");
    route.hops.push_back(graph[*came_by[at]]);
  }
  std::reverse(route.hops.begin(), route.hops.end());
  return route;
}

Direction Platform::direction(const Route& route, HostMemory host) const {
  if (route.hops.empty() && (*this)[route.from].copies) return *(*this)[route.from].copies;
  Direction whole{{1e300}, {}, {}, {route.hops.empty() ? 0 : INT64_MAX}};
  for (const Hop& hop : route.hops) {
    const Link& link = links[static_cast<std::size_t>(hop.link)];
    const Direction& part = link.direction(hop.forward, host);
    const BytesPerSecond pinned = link.direction(hop.forward, HostMemory::pinned).bandwidth;
    whole.bandwidth = std::min({whole.bandwidth, part.bandwidth, pinned});
    whole.latency += part.latency;
    whole.half_size = std::max(whole.half_size, part.half_size);
    whole.inline_size = std::min(whole.inline_size, part.inline_size);
  }
  return whole;
}

Seconds Platform::ideal_copy_time(MemoryId from, MemoryId to, Bytes bytes, HostMemory host) const {
  const Direction way = direction(route(from, to), host);
  Seconds slowest = (bytes + way.half_size) / way.bandwidth;
  if ((*this)[from].kind == Memory::Kind::disk) slowest = std::max(slowest, bytes / (*this)[from].read);
  if ((*this)[to].kind == Memory::Kind::disk) slowest = std::max(slowest, bytes / (*this)[to].write);
  return bytes <= way.inline_size ? slowest : way.latency + slowest;
}

}  // namespace specmoe
