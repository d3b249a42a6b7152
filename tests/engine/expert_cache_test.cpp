#include "sim/engine/expert_cache.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <stdexcept>

using namespace specmoe;

namespace {

constexpr int kLayers = 3, kExperts = 6;
using Ids = std::vector<ExpertId>;

const EvictionKind& eviction(std::string_view name) {
  const auto kinds = eviction_kinds();
  return *std::find_if(kinds.begin(), kinds.end(),
                       [&](const EvictionKind& kind) { return kind.name == name; });
}

// Experts of layer 0, 1, 2 take 1, 2, 4 bytes unless said otherwise.
ExpertCache cache_of(std::int64_t capacity, CacheScope scope = CacheScope::global,
                     std::string_view policy = "lru", std::vector<Bytes> sizes = {{1}, {2}, {4}}) {
  return ExpertCache({kLayers, kExperts, std::move(sizes), {capacity}, scope}, eviction(policy),
                     {kLayers, kExperts, 1, nullptr});
}

// Who left to let it in; {-1, -1} alone if it was refused.
Ids admit(ExpertCache& cache, ExpertId id) {
  Ids evicted;
  if (!cache.admit(id, evicted)) {
    CHECK(evicted.empty());
    return {{-1, -1}};
  }
  return evicted;
}
const Ids kRefused{{-1, -1}};

Ids held_by(const ExpertCache& cache) {
  Ids held;
  for (int layer = 0; layer < kLayers; ++layer)
    for (int expert = 0; expert < kExperts; ++expert)
      if (cache.holds({layer, expert})) held.push_back({layer, expert});
  return held;
}

// Hits of a group of one layer's experts.
std::vector<bool> look_up(ExpertCache& cache, int layer, const std::vector<int>& experts) {
  Ids group;
  for (const int expert : experts) group.push_back({layer, expert});
  std::vector<bool> hits{true};  // what was in it does not matter
  cache.access_group(group, hits);
  return hits;
}

}  // namespace

TEST_CASE("expert cache: counts bytes, so a large expert drives out as many as it needs") {
  ExpertCache cache = cache_of(5);
  CHECK(cache.capacity() == Bytes{5});
  for (int expert = 0; expert < 5; ++expert) CHECK(admit(cache, {0, expert}).empty());
  CHECK(cache.used() == Bytes{5});
  CHECK((admit(cache, {1, 0}) == Ids{{0, 0}, {0, 1}}));  // 2 bytes: the two oldest
  CHECK(cache.used() == Bytes{5});
  CHECK((admit(cache, {2, 0}) == Ids{{0, 2}, {0, 3}, {0, 4}, {1, 0}}));  // 1 + 1 + 1 leave 3, 4 are wanted
  CHECK(cache.used() == Bytes{4});
  CHECK(cache.peak() == Bytes{5});
  CHECK(cache.evictions() == 6);
}

TEST_CASE("expert cache: those that left are appended to those of before, and may be the same ones again") {
  ExpertCache cache = cache_of(1);
  Ids evicted;
  CHECK(cache.admit({0, 0}, evicted));
  CHECK(cache.admit({0, 1}, evicted));
  CHECK(cache.admit({0, 0}, evicted));
  CHECK(cache.admit({0, 1}, evicted));
  CHECK((evicted == Ids{{0, 0}, {0, 1}, {0, 0}}));
}

TEST_CASE("expert cache: by layer, each has an equal share of the bytes and keeps it") {
  ExpertCache cache = cache_of(13, CacheScope::layer);  // 4 bytes a layer; the thirteenth is lost
  for (int expert = 0; expert < 4; ++expert) CHECK(admit(cache, {0, expert}).empty());
  CHECK(admit(cache, {0, 4}) == Ids{{0, 0}});
  CHECK(admit(cache, {1, 0}).empty());
  CHECK(admit(cache, {1, 1}).empty());
  CHECK(admit(cache, {1, 2}) == Ids{{1, 0}});
  CHECK(admit(cache, {2, 0}).empty());
  CHECK(admit(cache, {2, 1}) == Ids{{2, 0}});
  CHECK(cache.used() == Bytes{12});
  ExpertCache narrow = cache_of(11, CacheScope::layer);  // 3 bytes a layer
  CHECK(admit(narrow, {2, 0}) == kRefused);              // 4 bytes never fit, though 11 are free
  CHECK(admit(narrow, {1, 0}).empty());
  CHECK(admit(narrow, {1, 1}) == Ids{{1, 0}});  // one of 2 bytes; the third byte is lost
}

TEST_CASE(
    "expert cache: what is in flight takes its room from the start, and is not resident until it lands") {
  ExpertCache cache = cache_of(2);
  admit(cache, {1, 0});
  CHECK(cache.holds({1, 0}));
  CHECK(cache.in_flight({1, 0}));
  CHECK(cache.used() == Bytes{2});
  cache.landed({1, 0});
  CHECK(cache.holds({1, 0}));
  CHECK_FALSE(cache.in_flight({1, 0}));
  CHECK(admit(cache, {0, 0}) == Ids{{1, 0}});
  CHECK_FALSE(cache.holds({1, 0}));
  admit(cache, {0, 1});
  CHECK(admit(cache, {1, 0}).size() == 2);
  CHECK(cache.in_flight({1, 0}));  // again
}

TEST_CASE("expert cache: a use tells the policy") {
  ExpertCache cache = cache_of(3);
  for (int expert = 0; expert < 3; ++expert) admit(cache, {0, expert});
  cache.use({0, 0});
  CHECK((admit(cache, {1, 0}) == Ids{{0, 1}, {0, 2}}));
}

TEST_CASE("expert cache: a pinned expert stays until it is unpinned as often as it was pinned") {
  ExpertCache cache = cache_of(2);
  admit(cache, {0, 0});
  admit(cache, {0, 1});
  cache.pin({0, 0});
  cache.pin({0, 0});
  CHECK(cache.pinned({0, 0}));
  CHECK(admit(cache, {0, 2}) == Ids{{0, 1}});
  cache.unpin({0, 0});
  CHECK(admit(cache, {0, 3}) == Ids{{0, 2}});
  cache.unpin({0, 0});
  CHECK_FALSE(cache.pinned({0, 0}));
  CHECK(admit(cache, {0, 4}) == Ids{{0, 0}});
}

TEST_CASE("expert cache: admitting without enough room among those that may leave changes nothing") {
  ExpertCache cache = cache_of(5);
  for (int expert = 0; expert < 5; ++expert) admit(cache, {0, expert});
  cache.pin({0, 1});
  cache.pin({0, 3});
  const Ids before = held_by(cache);
  Ids evicted{{2, 5}};
  CHECK_FALSE(cache.admit({2, 0}, evicted));  // 0, 2 and 4 may leave: 3 of 4 bytes
  CHECK(evicted == Ids{{2, 5}});
  CHECK(held_by(cache) == before);
  CHECK(cache.used() == Bytes{5});
  CHECK(cache.evictions() == 0);
  CHECK((admit(cache, {1, 0}) == Ids{{0, 0}, {0, 2}}));  // and their order is as it was
}

TEST_CASE("expert cache: an expert larger than the cache is refused, even by an empty one") {
  ExpertCache cache = cache_of(3);
  CHECK(admit(cache, {2, 0}) == kRefused);
  CHECK_FALSE(cache.access({2, 0}));
  CHECK_FALSE(cache.holds({2, 0}));
  CHECK_FALSE(cache.access({2, 0}));  // not kept, so never a hit
  CHECK(cache.used() == Bytes{0});
}

TEST_CASE("expert cache: broken use is our own error") {
  ExpertCache cache = cache_of(3);
  CHECK_THROWS_AS(cache.use({0, 0}), std::logic_error);
  CHECK_THROWS_AS(cache.pin({0, 0}), std::logic_error);  // its pins would be lost when it enters
  CHECK_THROWS_AS(cache.unpin({0, 0}), std::logic_error);
  admit(cache, {0, 0});
  CHECK_THROWS_AS(admit(cache, {0, 0}), std::logic_error);
  cache.pin({0, 0});
  cache.unpin({0, 0});
  CHECK_THROWS_AS(cache.unpin({0, 0}), std::logic_error);
}

TEST_CASE("expert cache: access by access, a miss evicts what the same layer may want next") {
  ExpertCache cache = cache_of(2);
  CHECK_FALSE(cache.access({0, 0}));
  CHECK_FALSE(cache.access({0, 1}));
  CHECK_FALSE(cache.access({0, 2}));  // 0 leaves
  CHECK_FALSE(cache.access({0, 0}));  // 1 leaves
  CHECK(cache.access({0, 2}));
  CHECK_FALSE(cache.in_flight({0, 2}));
  CHECK(cache.evictions() == 2);
}

TEST_CASE("expert cache: a group is looked up whole before anything is loaded for it") {
  ExpertCache cache = cache_of(2);
  CHECK((look_up(cache, 0, {0, 1}) == std::vector{false, false}));
  CHECK((look_up(cache, 0, {2, 0}) == std::vector{false, true}));  // one by one, 2 would drive 0 out
  CHECK((held_by(cache) == Ids{{0, 0}, {0, 2}}));
  CHECK((look_up(cache, 0, {3, 3}) == std::vector{false, false}));  // twice in one group: nobody was there
  CHECK(cache.used() == Bytes{2});
}

TEST_CASE("expert cache: the members of a group are used in their order, and unpinned after it") {
  ExpertCache cache = cache_of(3);
  look_up(cache, 0, {0, 1, 2});
  look_up(cache, 0, {1, 0});
  for (int expert = 0; expert < 3; ++expert) {
    CHECK_FALSE(cache.pinned({0, expert}));
    CHECK_FALSE(cache.in_flight({0, expert}));
  }
  CHECK(admit(cache, {0, 3}) == Ids{{0, 2}});
  CHECK(admit(cache, {0, 4}) == Ids{{0, 1}});
  CHECK(admit(cache, {0, 5}) == Ids{{0, 0}});
}

TEST_CASE("expert cache: a group larger than the pool overfills it until the pool's next group is in") {
  ExpertCache cache = cache_of(2);
  look_up(cache, 0, {0, 1, 2});
  CHECK(cache.used() == Bytes{3});
  CHECK(cache.peak() == Bytes{3});
  // The next group finds all of it, then the least recent beyond the capacity leave: 0, though nothing was
  // loaded.
  CHECK((look_up(cache, 0, {2, 1}) == std::vector{true, true}));
  CHECK((held_by(cache) == Ids{{0, 1}, {0, 2}}));
  CHECK(cache.used() == Bytes{2});
  CHECK(cache.evictions() == 1);
}

TEST_CASE("expert cache: an overfull layer is trimmed at its own next group, not at another layer's") {
  ExpertCache cache = cache_of(6, CacheScope::layer, "lru", {{1}, {1}, {1}});  // two slots a layer
  look_up(cache, 0, {0, 1, 2, 3});
  look_up(cache, 1, {0, 1});
  look_up(cache, 2, {5});
  CHECK(cache.used() == Bytes{7});
  CHECK((look_up(cache, 0, {0}) == std::vector{true}));
  CHECK(cache.used() == Bytes{5});  // 0 and the most recent other, 3
  CHECK(cache.holds({0, 3}));
  CHECK_FALSE(cache.holds({0, 2}));
}

TEST_CASE("expert cache: what was taken in and where to trim are counted in bytes of each layer") {
  ExpertCache cache = cache_of(6);
  look_up(cache, 0, {0, 1});  // 2 bytes
  look_up(cache, 1, {0, 1});  // 6
  look_up(cache, 2, {0});     // 10: both of layer 0 leave, 8, then the older of layer 1, 6
  CHECK((held_by(cache) == Ids{{1, 1}, {2, 0}}));
  CHECK(cache.used() == Bytes{6});
  CHECK(cache.peak() == Bytes{10});
}

TEST_CASE("expert cache: admitting into an overfull pool trims it first") {
  ExpertCache cache = cache_of(2);
  look_up(cache, 0, {0, 1, 2, 3});
  CHECK((admit(cache, {0, 4}) == Ids{{0, 0}, {0, 1}, {0, 2}}));  // 4 used, 2 allowed, 1 wanted
  CHECK(cache.used() == Bytes{2});
}

TEST_CASE(
    "expert cache: whatever is called in whatever order, used is the sum of the held and within capacity") {
  const std::vector<Bytes> sizes{{1}, {2}, {4}};
  for (const EvictionKind& kind : eviction_kinds())
    for (const CacheScope scope : {CacheScope::global, CacheScope::layer}) {
      INFO(kind.name);
      std::vector<std::uint32_t> dates(20'000);
      std::iota(dates.begin(), dates.end(), 0U);
      const FutureUses future(kLayers * kExperts, dates);
      const CacheShape shape{kLayers, kExperts, sizes, {15}, scope};
      ExpertCache cache(shape, kind, {kLayers, kExperts, 1, &future});
      Random random(7);
      std::map<ExpertId, int> pins;
      for (int i = 0; i < 20'000; ++i) {
        const ExpertId id{static_cast<int>(random.below(kLayers)), static_cast<int>(random.below(kExperts))};
        const Ids before = held_by(cache);
        Ids evicted;
        switch (random.below(5)) {
          case 0:
            if (cache.holds(id)) break;
            if (cache.admit(id, evicted)) {
              REQUIRE(cache.in_flight(id));
              REQUIRE(held_by(cache).size() == before.size() + 1 - evicted.size());
              for (const ExpertId leaver : evicted) REQUIRE_FALSE(cache.holds(leaver));
            } else {
              REQUIRE(held_by(cache) == before);
            }
            break;
          case 1:
            cache.access(id);
            break;
          case 2:
            if (cache.holds(id)) cache.use(id);
            break;
          case 3:
            if (!cache.holds(id) || pins.size() >= 4) break;
            cache.pin(id);
            ++pins[id];
            break;
          case 4:
            if (pins.empty()) break;
            const auto last = std::prev(pins.end());
            cache.unpin(last->first);
            if (--last->second == 0) pins.erase(last);
            break;
        }
        std::vector<std::int64_t> used(kLayers);
        for (const ExpertId held : held_by(cache))
          used[static_cast<std::size_t>(held.layer)] += sizes[static_cast<std::size_t>(held.layer)].count;
        REQUIRE(cache.used().count == used[0] + used[1] + used[2]);
        if (scope == CacheScope::global) REQUIRE(cache.used() <= cache.capacity());
        for (const std::int64_t layer : used) REQUIRE(layer <= (scope == CacheScope::layer ? 5 : 15));
        for (const auto& [pinned, count] : pins) REQUIRE(cache.holds(pinned));
      }
      CHECK(cache.evictions() > 1000);
      CHECK(cache.peak() <= cache.capacity());
    }
}

TEST_CASE(
    "expert cache: a low-precision copy counts its own bytes and grows into the whole, where it stays "
    "pinned") {
  ExpertCache cache = cache_of(6);
  Ids evicted;
  REQUIRE(cache.admit({2, 0}, Bytes{1}, evicted));  // of 4
  CHECK(cache.held_bytes({2, 0}) == Bytes{1});
  REQUIRE(cache.admit({1, 0}, evicted));
  REQUIRE(cache.admit({1, 1}, evicted));  // 5 of 6
  cache.landed({2, 0});
  cache.pin({2, 0});
  CHECK(evicted.empty());
  // It is the oldest and does not leave for itself; 1 byte is free and 3 are wanted.
  REQUIRE(cache.admit({2, 0}, Bytes{4}, evicted));
  CHECK(evicted == Ids{{1, 0}});
  CHECK(cache.used() == Bytes{6});
  CHECK(cache.in_flight({2, 0}));
  CHECK(cache.pinned({2, 0}));
  CHECK_THROWS_AS(cache.admit({2, 0}, Bytes{2}, evicted), std::logic_error);
}

TEST_CASE("expert cache: what is removed leaves its room and counts as no eviction, unless it is pinned") {
  ExpertCache cache = cache_of(2);
  admit(cache, {0, 0});
  cache.pin({0, 0});
  CHECK_THROWS_AS(cache.remove({0, 0}), std::logic_error);
  cache.unpin({0, 0});
  cache.remove({0, 0});
  CHECK(cache.used() == Bytes{0});
  CHECK(cache.evictions() == 0);
  CHECK_THROWS_AS(cache.remove({0, 0}), std::logic_error);
}

TEST_CASE("expert cache: a use that passes by is a use for Belady, and nothing for others") {
  // Dates: E0 0 and 3, E1 1, E2 2 and 4.
  FutureUses future(kLayers * kExperts);
  future[0] = {0, 3};
  future[1] = {1};
  future[2] = {2, 4};
  ExpertCache belady({kLayers, kExperts, {{1}, {1}, {1}}, {1}, CacheScope::global}, eviction("belady"),
                     {kLayers, kExperts, 1, &future});
  for (const int expert : {0, 1, 2, 0, 2}) belady.pass_by({0, expert});
  CHECK_THROWS_AS(belady.pass_by({0, 1}), std::logic_error);  // once more than its future says
  CHECK(belady.used() == Bytes{0});
  ExpertCache lru = cache_of(1);
  lru.pass_by({0, 1});
  CHECK(lru.used() == Bytes{0});
  CHECK(lru.evictions() == 0);
}
