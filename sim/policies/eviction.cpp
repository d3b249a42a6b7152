#include "sim/policies/eviction.hpp"

#include <array>

namespace specmoe {

std::unique_ptr<EvictionPolicy> make_lru(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_lfu(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_fifo(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_random(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_belady(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_static(const EvictionContext&);

std::span<const EvictionKind> eviction_kinds() {
  static constexpr std::array kinds{
      EvictionKind{.name = "lru", .summary = "least recently used", .source = "", .maker = make_lru},
      EvictionKind{.name = "lfu",
                   .summary = "least frequently used, ties by recency",
                   .source = "",
                   .maker = make_lfu},
      EvictionKind{.name = "fifo", .summary = "first in, first out", .source = "", .maker = make_fifo},
      EvictionKind{
          .name = "random", .summary = "a uniformly random expert", .source = "", .maker = make_random},
      EvictionKind{.name = "belady",
                   .summary = "the expert used farthest in the future (needs the routing in advance)",
                   .source = "Belady 1966",
                   .maker = make_belady,
                   .needs_future = true},
      EvictionKind{.name = "static",
                   .summary = "keeps what the cache started with; the newest guest leaves",
                   .source = "Fiddler (2402.07033), KTransformers",
                   .maker = make_static},
  };
  return kinds;
}

}  // namespace specmoe
