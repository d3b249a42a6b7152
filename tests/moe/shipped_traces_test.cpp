// The traces in models/moe/traces: whole, of four domains, with experts in use and reuse from token to token.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <set>
#include <string>

#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_statistics.hpp"

namespace specmoe {
namespace {

struct Shipped {
  std::string name;
  int layers, experts, top_k;
  std::int64_t tokens;  // at least
};

void check(const Shipped& expected) {
  CAPTURE(expected.name);
  const std::filesystem::path file =
      std::filesystem::path(SPECMOE_SOURCE_DIR) / "models/moe/traces" / (expected.name + ".h5");
  REQUIRE(std::filesystem::exists(file));
  CHECK(std::filesystem::file_size(file) < 5'000'000);
  const auto trace = RoutingTrace::open(file);
  REQUIRE(trace->layers() == expected.layers);
  REQUIRE(trace->experts() == expected.experts);
  REQUIRE(trace->top_k() == expected.top_k);
  CHECK(trace->tokens() >= expected.tokens);
  CHECK(trace->header().has_weights);
  CHECK(trace->header().has_token_ids);
  CHECK(!trace->header().source.empty());
  CHECK(!trace->header().licence.empty());

  std::set<std::string> labels;
  for (std::int64_t request = 0; request < trace->requests(); ++request) {
    labels.insert(trace->label(request));
    CHECK(trace->request(request).prefill_rows > 0);
    CHECK(trace->request(request).decode_rows > 0);
  }
  CHECK(labels == std::set<std::string>{"code", "prose", "scripture", "technical"});

  const auto s = statistics(*trace);
  // Experts that two unrelated tokens have in common: mean over layers of k^2 sum_e share_e^2.
  double chance = 0;
  for (int layer = 0; layer < expected.layers; ++layer) {
    const auto l = static_cast<std::size_t>(layer);
    CHECK(s.entropy_bits[l] > 0.5 * std::log2(expected.experts));
    double accesses = 0, squares = 0;
    for (const auto count : s.counts[l]) {
      accesses += static_cast<double>(count);
      squares += static_cast<double>(count) * static_cast<double>(count);
    }
    CHECK(accesses == static_cast<double>(trace->tokens() * expected.top_k));  // nothing is dropped
    chance += expected.top_k * expected.top_k * squares / (accesses * accesses) / expected.layers;
  }
  CHECK(s.decode_overlap > chance);
}

}  // namespace

TEST_CASE("shipped traces: Switch-style routing, 12 layers of 128 experts, top-1") {
  check({"switch-style-128", 12, 128, 1, 180'000});
}

TEST_CASE("shipped traces: Qwen-style routing, 24 layers of 60 experts, top-4") {
  check({"qwen-style-60", 24, 60, 4, 30'000});
}

}  // namespace specmoe
