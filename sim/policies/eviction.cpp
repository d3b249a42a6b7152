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
      EvictionKind{"lru", "least recently used", false, make_lru},
      EvictionKind{"lfu", "least frequently used, ties by recency", false, make_lfu},
      EvictionKind{"fifo", "first in, first out", false, make_fifo},
      EvictionKind{"random", "a uniformly random expert", false, make_random},
      EvictionKind{"belady", "the expert used farthest in the future (needs the routing in advance)", true,
                   make_belady},
      EvictionKind{"static", "keeps what the cache started with; the newest guest leaves", false,
                   make_static},
  };
  return kinds;
}

}  // namespace specmoe
