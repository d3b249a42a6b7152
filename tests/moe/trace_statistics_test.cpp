#include <doctest/doctest.h>

#include <cmath>

#include "models/moe/routing/routing_generator.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_statistics.hpp"
#include "tests/moe/trace_helpers.hpp"

namespace specmoe {

TEST_CASE("trace statistics: popularity, overlap and batches of a trace counted by hand") {
  const TemporaryFolder folder;
  TraceHeader header;
  header.layers = 1;
  header.experts = 16;
  header.top_k = 2;
  TraceWriter writer(folder / "t.h5", header);
  const auto row = [&](bool prefill, std::int16_t a, std::int16_t b) {
    writer.add_row(prefill, std::vector<std::int16_t>{a, b});
  };
  writer.begin_request(1);
  row(true, 0, 1);
  row(false, 0, 1);  // a prefill row is before it: no pair
  row(false, 1, 2);  // overlap 1
  row(false, 2, 1);  // overlap 2
  writer.begin_request(3);
  row(false, 0, 3);
  row(false, 4, 5);  // overlap 0
  writer.finish();
  const auto trace = RoutingTrace::open(folder / "t.h5");
  const auto s = statistics(*trace);
  CHECK(s.requests == 2);
  CHECK(s.prompt_tokens == 4);
  CHECK(s.prefill_rows == 1);
  CHECK(s.decode_rows == 5);
  // 12 accesses: expert 0 3, 1 4, 2 2, 3 to 5 one each.
  CHECK(s.counts[0][0] == 3);
  CHECK(s.counts[0][1] == 4);
  CHECK(s.counts[0][2] == 2);
  CHECK(s.counts[0][5] == 1);
  // 3/12 * 2 + 4/12 * log2(3) + 2/12 * log2(6) + 3 * 1/12 * log2(12) = .5 + .52832 + .43083 + .89624
  // = 2.35539
  CHECK(std::abs(s.entropy_bits[0] - 2.35539) < 1e-5);
  CHECK(s.top10_share[0] == 1);
  CHECK(s.decode_overlap == 1);  // (1 + 2 + 0) / 3
  // Alone: 2. Side by side {0,1} with {0,3}: 3, {1,2} with {4,5}: 4; the third token has no neighbour. Never
  // four.
  REQUIRE(s.unique_experts.size() == 2);
  CHECK(s.unique_experts[0] == std::pair{1, 2.0});
  CHECK(s.unique_experts[1] == std::pair{2, 3.5});
}

TEST_CASE("trace statistics: share of the ten most used experts") {
  RoutingOptions options;
  options.layers = 1;
  options.experts = 20;
  options.top_k = 20;  // every expert at every token
  options.output_tokens = 3;
  RoutingGenerator generator(options);
  const auto s = statistics(generator);
  CHECK(s.top10_share[0] == 0.5);
  CHECK(std::abs(s.entropy_bits[0] - std::log2(20.0)) < 1e-12);
}

TEST_CASE("trace statistics: uniform routing needs as many experts as the closed form says") {
  CHECK(uniform_unique_experts(128, 8, 1) == doctest::Approx(8));
  CHECK(uniform_unique_experts(4, 2, 2) == doctest::Approx(3));  // 4 (1 - 1/4)
  RoutingOptions options;
  options.layers = 4;
  options.experts = 32;
  options.top_k = 4;
  options.requests = 128;
  options.output_tokens = 100;
  RoutingGenerator generator(options);
  const auto s = statistics(generator);
  REQUIRE(s.unique_experts.size() == 7);
  CHECK(s.unique_experts.back().first == 64);
  for (const auto& [tokens, unique] : s.unique_experts)
    CHECK(std::abs(unique - uniform_unique_experts(32, 4, tokens)) < 0.15);
}

}  // namespace specmoe
