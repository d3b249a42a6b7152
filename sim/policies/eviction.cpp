#include "sim/policies/eviction.hpp"

#include <array>

namespace specmoe {

std::unique_ptr<EvictionPolicy> make_lru(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_lfu(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_lfu_ageing(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_lfru(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_fifo(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_random(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_belady(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_static(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_static_prefill(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_activation(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_mrs(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_cost_aware(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_plec(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_victim(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_three_level(const EvictionContext&);
std::unique_ptr<EvictionPolicy> make_intelligent(const EvictionContext&);

using enum Parameter::Type;

std::span<const EvictionKind> eviction_kinds() {
  static constexpr std::array kinds{
      EvictionKind{.name = "lru", .summary = "least recently used", .source = "", .maker = make_lru},
      EvictionKind{.name = "lfu",
                   .summary = "least frequently used, ties by recency",
                   .source = "",
                   .maker = make_lfu},
      EvictionKind{.name = "lfu-ageing",
                   .summary = "least frequently used, counts halved from time to time",
                   .source = "Robinson & Devarakonda 1990",
                   .maker = make_lfu_ageing,
                   .declared = {{{"period", 10'000, 1, 1e9, "accesses between two halvings", whole}}}},
      EvictionKind{.name = "lfru",
                   .summary = "recently used experts are privileged, of the rest the least frequent leaves",
                   .source = "Bilal & Kang (1702.04078)",
                   .maker = make_lfru,
                   .declared = {{{"privileged", 0.5, 0, 1, "part of the bytes for the privileged"}}}},
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
      EvictionKind{
          .name = "static-prefill",
          .summary = "static, re-placed from each prefill: the expert of the fewest prompt tokens leaves",
          .source = "DAOP (2501.10375), KTransformers",
          .maker = make_static_prefill},
      EvictionKind{
          .name = "activation",
          .summary = "least expected by the activation matrix that matches the sequence, late layers first",
          .source = "MoE-Infinity (2401.14361)",
          .maker = make_activation,
          .declared = {{{"matrices", 32, 1, 1000, "finished sequences kept to match with", whole}}}},
      EvictionKind{.name = "mrs",
                   .summary = "lowest recent routing score",
                   .source = "HybriMoE (2504.05897)",
                   .maker = make_mrs,
                   .declared = {{{"alpha", 0.1, 0, 1, "weight of the present step's scores"},
                                 {"top", 0, 0, 64, "scores of a token that count; 0 for top-k", whole}}},
                   .wants_weights = true},
      EvictionKind{
          .name = "cost-aware",
          .summary = "least costly to load again in two precisions; the last pass's experts by their turn",
          .source = "HOBBIT (2411.01433)",
          .maker = make_cost_aware,
          .declared = {{{"high", 0.6, 0, 1, "gate weight before an expert up to which it is wanted whole"},
                        {"low-cost", 0.25, 0, 1, "bytes of the low precision over those of the high"}}},
          .wants_weights = true},
      EvictionKind{
          .name = "plec",
          .summary = "experts predicted and not wanted leave first, predicted ones last, else by recency",
          .source = "ExpertFlow (2410.17954)",
          .maker = make_plec},
      EvictionKind{.name = "victim",
                   .summary = "LRU in equal shares of the layers, with a buffer for what they drop",
                   .source = "Jouppi 1990",
                   .maker = make_victim,
                   .declared = {{{"buffer", 0.1, 0, 1, "part of the bytes for the buffer"}}}},
      EvictionKind{.name = "three-level",
                   .summary = "three levels of LRU: a miss enters the third, a use lifts by one",
                   .source = "the seed's iso-cache",
                   .maker = make_three_level,
                   .declared = {{{"first", 0.4, 0, 1, "part of the bytes for the first level"},
                                 {"second", 0.4, 0, 1, "for the second; the third has the rest"}}}},
      EvictionKind{.name = "intelligent",
                   .summary = "lowest sum of frequency, recency and transitions",
                   .source = "the seed's strategy E",
                   .maker = make_intelligent,
                   .declared = {{{"frequency", 0.3, 0, 1, "weight of the uses"},
                                 {"recency", 0.3, 0, 1, "weight of exp(-age / horizon)"},
                                 {"transition", 0.4, 0, 1, "weight of what follows the present experts"},
                                 {"horizon", 10, 0.1, 1e6, "passes in which recency falls by e"}}}},
  };
  return kinds;
}

}  // namespace specmoe
