#include "sim/policies/eviction.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "tests/policies/slots.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

constexpr int kExperts = kLetters;

const EvictionKind& kind(std::string_view name) { return eviction_named(name); }

int misses_of(std::string_view policy, std::size_t size, const std::string& accesses) {
  const std::string result = Slots(policy, size, accesses).run(accesses);
  return static_cast<int>(accesses.size()) - static_cast<int>(std::count(result.begin(), result.end(), '+'));
}

// The fewest misses of any choice of victims: all of them tried, by sets of held experts.
int fewest_misses(std::size_t size, const std::string& accesses) {
  std::map<unsigned, int> misses{{0, 0}};
  for (const char c : accesses) {
    const unsigned wanted = 1U << (c - 'A');
    std::map<unsigned, int> next;
    const auto reach = [&](unsigned held, int count) {
      const auto [at, is_new] = next.emplace(held, count);
      if (!is_new) at->second = std::min(at->second, count);
    };
    for (const auto& [held, count] : misses) {
      if (held & wanted) {
        reach(held, count);
      } else if (static_cast<std::size_t>(std::popcount(held)) < size) {
        reach(held | wanted, count + 1);
      } else {
        for (unsigned leaver = 1; leaver <= held; leaver <<= 1)
          if (held & leaver) reach((held & ~leaver) | wanted, count + 1);
      }
    }
    misses = next;
  }
  return std::min_element(misses.begin(), misses.end(), [](auto& a, auto& b) { return a.second < b.second; })
      ->second;
}

std::string random_accesses(Random& random, std::size_t length, std::uint64_t experts) {
  std::string accesses;
  while (accesses.size() < length) accesses += static_cast<char>('A' + random.below(experts));
  return accesses;
}

}  // namespace

TEST_CASE("lru: a hit makes an expert the last to leave") {
  // A B C fill, A again; then B is the oldest, then C, then A.
  CHECK(Slots("lru", 3).run("ABCADEF") == "...+BCA");
}

TEST_CASE("lru: an expert that entered ahead of its use counts as used then") {
  Slots slots("lru", 3);
  slots.run("AB");
  slots.enter('C');
  CHECK(slots.victim() == 'A');
  slots.run("AB");
  CHECK(slots.victim() == 'C');
}

TEST_CASE("fifo: the first in is the first out, however often it is used") {
  CHECK(Slots("fifo", 3).run("ABCAAADEA") == "...+++ABC");
}

TEST_CASE("lfu: the least used leaves, the least recent among equals") {
  // A twice, B and C once; B is the older. Then C and D once: C. Then D, E: D.
  CHECK(Slots("lfu", 3).run("ABCADEF") == "...+BCD");
  CHECK(Slots("lfu", 2).run("ABBAC") == "..++B");  // two uses each; A, the first in, was used last
}

TEST_CASE("lfu: an expert that comes back has the uses of before") {
  // A has four uses and B three when C drives B out. Back again, for C, B has four: so C's return drives out
  // A, the less recent. Had the counts been forgotten, it would be B with one use.
  Slots slots("lfu", 2);
  CHECK(slots.run("AAAABBBCBC") == ".+++.++BCA");
  CHECK(slots.victim() == 'C');  // two uses
}

TEST_CASE("lfu: what entered ahead and was never used leaves before what was used") {
  Slots slots("lfu", 3);
  slots.run("AB");
  slots.enter('C');
  CHECK(slots.victim() == 'C');
}

TEST_CASE("belady: the expert whose next use is farthest leaves, and first of all one that has none") {
  // At D the next uses are A 4, B 5, C 6: C leaves. At C (6) A and B have none left, D has 7.
  const std::string accesses = "ABCDABCD";
  const std::string result = Slots("belady", 3, accesses).run(accesses);
  CHECK(result.substr(0, 6) == "...C++");
  CHECK((result[6] == 'A' || result[6] == 'B'));
  CHECK(result[7] == '+');
}

TEST_CASE("belady: an expert brought ahead of its use is held for that use") {
  const std::string accesses = "ABCABC";
  Slots slots("belady", 3, accesses);
  slots.enter('A');
  slots.enter('B');
  slots.enter('C');
  CHECK(slots.victim() == 'C');  // first uses at 0, 1, 2
  slots.run("A");
  CHECK(slots.victim() == 'A');  // 3 against 1 and 2
  slots.run("BC");
  CHECK(slots.victim() == 'C');  // 5
}

TEST_CASE("belady: no choice of victims has fewer misses, and no policy") {
  Random random(1);
  int others = 0, best = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string accesses = random_accesses(random, 16, 2 + random.below(5));
    const std::size_t size = 1 + random.below(4);
    const int fewest = fewest_misses(size, accesses);
    INFO(accesses << " in " << size);
    REQUIRE(misses_of("belady", size, accesses) == fewest);
    for (const EvictionKind& each : eviction_kinds()) REQUIRE(misses_of(each.name, size, accesses) >= fewest);
    others += misses_of("lru", size, accesses);
    best += fewest;
  }
  CHECK(best < others);  // so the sequences tell them apart
}

TEST_CASE("belady: needs the future, and refuses uses that it does not hold") {
  CHECK_THROWS_AS(kind("belady").make({1, kExperts, 0, nullptr}), std::logic_error);
  CHECK_THROWS_AS(Slots("belady", 2, "AB").run("ABA"), std::logic_error);
  for (const EvictionKind& each : eviction_kinds()) CHECK(each.needs_future == (each.name == "belady"));
}

TEST_CASE("static: what the cache started with stays - one slot serves all misses") {
  Slots slots("static", 3);
  for (const char resident : {'A', 'B'}) slots.enter(resident);
  slots.start();
  CHECK(slots.run("CDEABDA") == ".CD++E+");
  CHECK(slots.held() == "ABD");
}

TEST_CASE("static: residents leave, the first one first, only when no guest can") {
  Slots slots("static", 3);
  for (const char resident : {'A', 'B'}) slots.enter(resident);
  slots.start();
  slots.run("C");
  CHECK(slots.victim() == 'C');
  CHECK(slots.victim("C") == 'A');
  CHECK(slots.victim("AC") == 'B');
}

TEST_CASE("random: every expert leaves equally often, pinned ones never") {
  Slots slots("random", 5);
  for (const char c : {'A', 'B', 'C', 'D', 'E'}) slots.enter(c);
  std::array<int, kExperts> left{};
  constexpr int n = 9000;
  for (int i = 0; i < n; ++i) ++left[static_cast<std::size_t>(slots.victim("BD") - 'A')];
  CHECK(left[1] + left[3] == 0);
  // A third each; deviation sqrt(9000 * 1/3 * 2/3) = 45.
  for (const std::size_t c : {0, 2, 4}) CHECK(std::abs(left[c] - n / 3) < 4 * 45);
}

TEST_CASE("random: the only one of a hundred that may leave is found") {
  const auto policy = kind("random").make({100, 10, 1, nullptr});
  for (int layer = 0; layer < 100; ++layer) policy->entered({layer, 3});
  const ExpertId only{42, 3};
  for (int i = 0; i < 10; ++i) CHECK(policy->victim([&](ExpertId id) { return id == only; }) == only);
  policy->left(only);
  CHECK_FALSE(policy->victim([&](ExpertId id) { return id == only; }));
}

TEST_CASE("random: the seed decides") {
  Random random(3);
  const std::string accesses = random_accesses(random, 200, 10);
  const std::string once = Slots("random", 4, "", 7).run(accesses);
  CHECK(Slots("random", 4, "", 7).run(accesses) == once);
  CHECK(Slots("random", 4, "", 8).run(accesses) != once);
}

TEST_CASE("eviction: every policy names one that is there and may leave, or none") {
  for (const EvictionKind& each : eviction_kinds()) {
    INFO(each.name);
    Slots slots(each.name, 3, "ABCABC");
    CHECK(slots.victim() == '-');  // nobody is there
    slots.run("ABC");
    CHECK(std::string("ABC").find(slots.victim()) != std::string::npos);
    CHECK(slots.victim("AB") == 'C');
    CHECK(slots.victim("BC") == 'A');
    CHECK(slots.victim("ABC") == '-');
    slots.leave('B');
    CHECK(slots.victim("AC") == '-');  // B is gone
    slots.run("ABC");
    CHECK(slots.held() == "ABC");
    CHECK(slots.victim("AC") == 'B');
  }
}

TEST_CASE("eviction: experts of equal number in different layers are different experts") {
  for (const EvictionKind& each : eviction_kinds()) {
    INFO(each.name);
    const FutureUses future(4, {0, 1});
    const std::vector<Bytes> bytes(2, Bytes{1});
    const auto policy = each.make({2, 2, 1, &future, Bytes{4}, 2, bytes});
    policy->entered({0, 1});
    policy->entered({1, 1});
    policy->left({0, 1});
    CHECK(policy->victim([](ExpertId) { return true; }) == ExpertId{1, 1});
  }
}
