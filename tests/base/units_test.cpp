#include "sim/base/units.hpp"

#include <doctest/doctest.h>

using namespace specmoe;

TEST_CASE("units: bytes over a bandwidth are seconds, bytes over seconds a bandwidth") {
  CHECK(Bytes{350'000'000} / BytesPerSecond{25e9} == Seconds{0.014});  // 0.35 GB / 25 GB/s = 14 ms
  CHECK(Bytes{350'000'000} / Seconds{0.014} == BytesPerSecond{25e9});
  CHECK(Flops{3e12} / FlopsPerSecond{150e12} == Seconds{0.02});
  CHECK(Seconds{6} / Seconds{4} == 1.5);
  CHECK(Bytes{3} / Bytes{2} == 1.5);  // a share, not a whole number
}

TEST_CASE("units: bytes count exactly beyond the 53 bits of a double") {
  constexpr Bytes big{(std::int64_t{1} << 53) + 1};
  CHECK((big - Bytes{1}).count == std::int64_t{1} << 53);
  CHECK(big > big - Bytes{1});
  CHECK((big * 3).count == 3 * big.count);
}

TEST_CASE("units: sums and multiples keep their kind") {
  Bytes bytes{5};
  bytes += {7};
  bytes -= {2};
  CHECK(bytes == Bytes{10});
  CHECK(2 * bytes + Bytes{1} == Bytes{21});
  Seconds time{1.5};
  time += {0.5};
  CHECK(3 * time - Seconds{1} == Seconds{5});
  CHECK(time / 4 == Seconds{0.5});
  CHECK(Flops{1} + Flops{2} == Flops{3});
  CHECK(FlopsPerSecond{100} * 0.5 == FlopsPerSecond{50});
  CHECK(BytesPerSecond{100} * 0.8 == BytesPerSecond{80});
}
