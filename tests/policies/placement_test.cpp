#include "sim/policies/placement.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

using namespace specmoe;

namespace {

// 24 MB, which the link brings in 1 ms (24 GB/s) and the CPU gets through in `cpu` milliseconds a row.
MissedExpert miss(std::int64_t rows, double cpu, double activations = 0) {
  return {
      rows, {24'000'000}, {1e-3}, {0.1e-3}, {cpu * 1e-3 * static_cast<double>(rows)}, {activations * 1e-3}};
}

std::vector<bool> placed(std::string_view rule, const std::vector<MissedExpert>& misses,
                         double memory = 1e12) {
  for (const PlacementKind& kind : placement_kinds())
    if (kind.name == rule) return kind.place(misses, {{memory}});
  throw std::logic_error("no such rule");
}

using Bits = std::vector<bool>;

}  // namespace

TEST_CASE("placement: gpu loads every miss, cpu none") {
  const std::vector<MissedExpert> misses{miss(1, 0.1), miss(1, 10)};
  CHECK(placed("gpu", misses) == Bits{false, false});
  CHECK(placed("cpu", misses) == Bits{true, true});
  CHECK(placed("split", {}).empty());
}

TEST_CASE("placement: cheaper compares CPU and activations with copy and GPU, each expert by itself") {
  // The GPU takes 1.1 ms. On the CPU: 1 x 0.5; 3 x 0.5; 1 + 0.1, as long; 1 + 0.2.
  CHECK(placed("cheaper", {miss(1, 0.5), miss(3, 0.5), miss(1, 1, 0.1), miss(1, 1, 0.2)}) ==
        Bits{true, false, true, false});
}

TEST_CASE("placement: split shares a layer's misses by bandwidth, and loads those with the most rows") {
  // Link 24 GB/s, CPU 24 MB / 0.5 ms = 48 GB/s: a third of the misses is loaded.
  const std::vector<MissedExpert> six(6, miss(1, 0.5));
  CHECK(placed("split", six) == Bits{false, false, true, true, true, true});
  CHECK(placed("split", {miss(1, 0.5)}) == Bits{true});  // 0.33 rounds to 0
  // Rows 1, 4, 1: the CPU takes 0.5 + 2 + 0.5 ms for 72 MB, 24 GB/s: half of three rounds to two.
  CHECK(placed("split", {miss(1, 0.5), miss(4, 0.5), miss(1, 0.5)}) == Bits{false, false, true});
}

TEST_CASE("placement: split counts with what the host's memory has for both") {
  // Both together want 24 + 48 of 48 GB/s: half each, so half of the misses are loaded.
  const std::vector<MissedExpert> six(6, miss(1, 0.5));
  CHECK(placed("split", six, 48e9) == Bits{false, false, false, true, true, true});
  // Of 60 GB/s the link has its 24 and the CPU the other 36: 2.4 of 6.
  CHECK(placed("split", six, 60e9) == Bits{false, false, true, true, true, true});
}
