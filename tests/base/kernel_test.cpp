#include "sim/base/kernel.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace specmoe;
using enum WeightFormat;

TEST_CASE("kernel: a weight takes its bits and its share of scales and zero points") {
  CHECK(bits_per_weight(fp32) == 32);
  CHECK(bits_per_weight(bf16) == 16);
  CHECK(bits_per_weight(fp8) == 8.001953125);                // 8 + 32 / 16384
  CHECK(bits_per_weight(int8) == 8.125);                     // 8 + 16 / 128
  CHECK(bits_per_weight(int4) == 4.25);                      // 4 + 32 / 128
  CHECK(bits_per_weight(mxfp4) == 4.25);                     // 4 + 8 / 32
  CHECK(bits_per_weight(WeightFormat::int3) == 3.25390625);  // 3 + 16 / 64 + 32 / 8192
  CHECK(bits_per_weight(int2) == 2.6);
}

TEST_CASE("kernel: bytes of weights are rounded up once, over all of them") {
  CHECK(weight_bytes(0, bf16) == Bytes{0});
  CHECK(weight_bytes(3, bf16) == Bytes{6});
  CHECK(weight_bytes(128, int4) == Bytes{68});                    // 64 of weights, 4 of scale and zero
  CHECK(weight_bytes(1, int4) == Bytes{1});                       // 4.25 bits
  CHECK(weight_bytes(2, int4) == Bytes{2});                       // 8.5 bits
  CHECK(weight_bytes(40, int2) == Bytes{13});                     // 104 bits
  CHECK(weight_bytes(16384, fp8) == Bytes{16388});                // one block of 128 x 128 and its float
  CHECK(weight_bytes(3 * 2048 * 768, bf16) == Bytes{9'437'184});  // an expert of Qwen3-30B-A3B: 9 MiB
}

TEST_CASE("kernel: every format has its own name") {
  std::set<std::string_view> names;
  for (const auto format : {fp32, bf16, fp8, int8, int4, mxfp4, WeightFormat::int3, int2})
    names.insert(name_of(format));
  CHECK(names.size() == 8);
  CHECK_FALSE(names.contains(""));
}

TEST_CASE("kernel: a product of matrices is 2 m n k operations, and reads and writes each matrix once") {
  const Kernel kernel{Gemm{2, 3, 5, bf16}};
  CHECK(flops(kernel) == Flops{60});           // 2 * 2 * 3 * 5
  CHECK(memory_traffic(kernel) == Bytes{62});  // weights 15 * 2, in 2 * 5 * 2, out 2 * 3 * 2
  CHECK(memory_traffic({Gemm{2, 128, 1, int4}}) == Bytes{68 + 4 + 512});  // only the weights are small
}

TEST_CASE("kernel: grouped products read the weights of every group, and compute each row once") {
  const Kernel kernel{GroupedGemm{4, 2, 3, 5, bf16}};
  CHECK(flops(kernel) == Flops{120});           // 2 * 4 * 3 * 5
  CHECK(memory_traffic(kernel) == Bytes{124});  // weights 2 * 15 * 2, in 4 * 5 * 2, out 4 * 3 * 2
}

TEST_CASE("kernel: attention computes by pairs of positions, and reads the cache of the key-value heads") {
  // Two sequences, one new position each, over 10 and 20 cached; 8 heads share 2 key-value heads of 16.
  const Kernel kernel{Attention{2, 2, 30, 30, 8, 2, 16}};
  CHECK(flops(kernel) == Flops{15360});          // 2 products * 2 * 30 * 8 * 16
  CHECK(memory_traffic(kernel) == Bytes{4864});  // K and V 2 * 30 * 2 * 16 * 2, Q and out 2 * 2 * 8 * 16 * 2
}

TEST_CASE("kernel: elementwise counts its arrays, top-k the logits it reads and the pairs it writes") {
  CHECK(flops({Elementwise{3, 10, 2, 1}}) == Flops{30});
  CHECK(memory_traffic({Elementwise{3, 10, 2, 1}}) == Bytes{180});  // 3 arrays of 30 bf16
  CHECK(flops({TopK{3, 128, 8}}) == Flops{384});
  CHECK(memory_traffic({TopK{3, 128, 8}}) == Bytes{960});  // 3 * 128 * 2 read, 3 * 8 pairs of 8 bytes
}

TEST_CASE("kernel: shapes beyond 2^63 operations do not wrap around") {
  const std::int64_t million = 1'000'000;
  CHECK(flops({Gemm{10 * million, million, million}}) == Flops{2e19});
}
