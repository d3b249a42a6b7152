#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "models/moe/routing/routing_generator.hpp"
#include "models/moe/routing/trace_statistics.hpp"
#include "sim/base/input_error.hpp"
#include "tests/moe/trace_helpers.hpp"

namespace specmoe {

static RoutingOptions small(int layers, int experts, int top_k, std::int64_t tokens) {
  RoutingOptions options;
  options.layers = layers;
  options.experts = experts;
  options.top_k = top_k;
  options.output_tokens = tokens;
  options.seed = 1;
  return options;
}

TEST_CASE("generator: every layer of every token has distinct experts of the model") {
  auto options = small(3, 6, 4, 500);
  options.prompt_tokens = 20;
  options.reuse = 0.5;
  options.correlation = 0.5;
  options.zipf = 1.2;
  RoutingGenerator generator(options);
  const auto rows = rows_of(generator, 0);
  for (std::size_t first = 0; first < rows.size(); first += 4) {
    const std::set<int> chosen(rows.begin() + static_cast<std::ptrdiff_t>(first),
                               rows.begin() + static_cast<std::ptrdiff_t>(first + 4));
    REQUIRE(chosen.size() == 4);
    REQUIRE(*chosen.begin() >= 0);
    REQUIRE(*chosen.rbegin() < 6);
  }
  CHECK(generator.request(0).prefill_rows == 20);
  CHECK(generator.request(0).decode_rows == 500);
}

TEST_CASE(
    "generator: a token's experts are of as many groups as the model keeps, and of different ones from token "
    "to token") {
  auto options = small(2, 12, 4, 300);
  options.zipf = 0.5;
  options.reuse = 0.3;
  options.correlation = 0.3;
  options.groups = 6;  // of two experts
  options.groups_kept = 2;
  RoutingGenerator generator(options);
  const auto rows = rows_of(generator, 0);
  std::set<std::set<int>> pairs;
  for (std::size_t first = 0; first < rows.size(); first += 4) {
    std::set<int> experts, groups;
    for (std::size_t i = first; i < first + 4; ++i) {
      experts.insert(rows[i]);
      groups.insert(rows[i] / 2);
    }
    REQUIRE(experts.size() == 4);
    REQUIRE(groups.size() == 2);  // four experts fill two groups
    pairs.insert(groups);
  }
  CHECK(pairs.size() == 15);  // of 6 groups
  options.groups_kept = 1;
  CHECK_THROWS_WITH_AS(
      RoutingGenerator{options},
      "routing generator: 6 groups of experts, 1 of them kept; expected groups of equal size, with 4 experts "
      "in those kept, and no counts",
      InputError);
}

TEST_CASE("generator: first ranks follow the counts, sets are sampled without replacement") {
  auto options = small(1, 4, 2, 200'000);
  options.counts = {{4, 3, 2, 1}};
  RoutingGenerator generator(options);
  const auto rows = rows_of(generator, 0);
  double first[4] = {}, any[4] = {};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    any[rows[i]] += 1 / 200'000.0;
    if (i % 2 == 0) first[rows[i]] += 1 / 200'000.0;
  }
  // p = .4 .3 .2 .1; P(i chosen) = p_i + sum over j != i of p_j p_i / (1 - p_j):
  // 0: .4 + .4 (.3/.7 + .2/.8 + .1/.9) = .71587    1: .3 + .3 (.4/.6 + .2/.8 + .1/.9) = .60833
  // 2: .2 + .2 (.4/.6 + .3/.7 + .1/.9) = .44127    3: .1 + .1 (.4/.6 + .3/.7 + .2/.8) = .23452
  const double p[4] = {0.4, 0.3, 0.2, 0.1}, inclusion[4] = {0.71587, 0.60833, 0.44127, 0.23452};
  for (int i = 0; i < 4; ++i) {
    // Standard deviation of a share over 200,000 tokens: at most .0011.
    CHECK(std::abs(first[i] - p[i]) < 0.005);
    CHECK(std::abs(any[i] - inclusion[i]) < 0.005);
  }
}

TEST_CASE("generator: a very popular expert does not stop the others from being drawn exactly") {
  // Rank 0 is expert 0 but for 3 in 10^9; then 1, 2, 3 are alike. The redraws end in the exact search.
  auto options = small(1, 4, 2, 30'000);
  options.counts = {{1'000'000'000, 1, 1, 1}};
  RoutingGenerator generator(options);
  const auto rows = rows_of(generator, 0);
  double second[4] = {};
  for (std::size_t i = 1; i < rows.size(); i += 2) second[rows[i]] += 1 / 30'000.0;
  for (int i = 1; i < 4; ++i) CHECK(std::abs(second[i] - 1.0 / 3) < 0.015);  // deviation .0027
}

TEST_CASE("generator: Zipf gives each layer the same popularity in another order") {
  auto options = small(2, 8, 1, 100'000);
  options.zipf = 1;
  RoutingGenerator generator(options);
  auto counts = statistics(generator).counts;
  CHECK(std::max_element(counts[0].begin(), counts[0].end()) - counts[0].begin() !=
        std::max_element(counts[1].begin(), counts[1].end()) - counts[1].begin());
  // Sum of 1/i for i = 1 .. 8 is 2.71786; the i-th share is 1 / (2.71786 i).
  for (auto& layer : counts) {
    std::sort(layer.rbegin(), layer.rend());
    for (int i = 0; i < 8; ++i)
      CHECK(std::abs(static_cast<double>(layer[static_cast<std::size_t>(i)]) / 1e5 -
                     1 / (2.71786 * (i + 1))) < 0.008);
  }
}

TEST_CASE("generator: without reuse consecutive tokens overlap by chance, with reuse by reuse and chance") {
  // Top 1 of 8 uniform experts: overlap = reuse + (1 - reuse) / 8. Deviation over 2 x 50,000 pairs: .0016.
  for (const double reuse : {0.0, 0.3, 0.9}) {
    auto options = small(2, 8, 1, 50'000);
    options.reuse = reuse;
    RoutingGenerator generator(options);
    CHECK(std::abs(statistics(generator).decode_overlap - (reuse + (1 - reuse) / 8)) < 0.008);
  }
  // Top 4 of 16, by chance 4 * 4/16 = 1; with reuse 1 all four stay for good.
  auto options = small(1, 16, 4, 50'000);
  RoutingGenerator chance(options);
  CHECK(std::abs(statistics(chance).decode_overlap - 1) < 0.02);
  options.reuse = 1;
  RoutingGenerator all(options);
  CHECK(statistics(all).decode_overlap == 4);
}

// How often the best guess of a layer's expert from the layer before is right.
static double predictability(RoutingSource& source) {
  const auto rows = rows_of(source, 0);
  const auto experts = static_cast<std::size_t>(source.experts());
  std::vector<int> pairs(experts * experts);
  for (std::size_t i = 0; i < rows.size(); i += 2)
    ++pairs[static_cast<std::size_t>(rows[i]) * experts + static_cast<std::size_t>(rows[i + 1])];
  double right = 0;
  for (std::size_t e = 0; e < experts; ++e)
    right += *std::max_element(pairs.begin() + static_cast<std::ptrdiff_t>(e * experts),
                               pairs.begin() + static_cast<std::ptrdiff_t>((e + 1) * experts));
  return right / (static_cast<double>(rows.size()) / 2);
}

TEST_CASE("generator: correlation makes the next layer predictable and leaves the popularity alone") {
  // Two layers, top 1 of 8 uniform experts: right guesses = correlation + (1 - correlation) / 8.
  for (const double correlation : {0.0, 0.5, 1.0}) {
    auto options = small(2, 8, 1, 100'000);
    options.correlation = correlation;
    RoutingGenerator generator(options);
    CHECK(std::abs(predictability(generator) - (correlation + (1 - correlation) / 8)) < 0.01);
  }
  auto options = small(2, 8, 1, 100'000);
  options.correlation = 0.8;
  options.zipf = 1;
  RoutingGenerator generator(options);
  for (auto layer : statistics(generator).counts)
    // The most popular expert's share is 1 / 2.71786 = .368 in both layers.
    CHECK(std::abs(static_cast<double>(*std::max_element(layer.begin(), layer.end())) / 1e5 - 0.368) < 0.008);
}

TEST_CASE("generator: an expert of count 0 is never chosen, not even as a successor") {
  auto options = small(2, 4, 2, 2000);
  options.counts = {{1, 1, 1, 1}, {0, 5, 5, 0}};
  options.correlation = 1;
  RoutingGenerator generator(options);
  const auto counts = statistics(generator).counts;
  CHECK(counts[1] == std::vector<std::int64_t>{0, 2000, 2000, 0});
}

TEST_CASE("generator: same seed, same bytes, however it is read") {
  auto options = small(3, 16, 2, 40);
  options.requests = 5;
  options.prompt_tokens = 3;
  options.zipf = 0.8;
  options.reuse = options.correlation = 0.4;
  RoutingGenerator forwards(options), interleaved(options);
  std::vector<std::vector<std::int16_t>> whole, pieces(5);
  for (int request = 0; request < 5; ++request) whole.push_back(rows_of(forwards, request));
  std::vector<std::int16_t> row(6);
  for (std::int64_t i = 0; i < 43; ++i)
    for (int request = 4; request >= 0; --request) {
      interleaved.read(request, i, 1, row);
      pieces[static_cast<std::size_t>(request)].insert(pieces[static_cast<std::size_t>(request)].end(),
                                                       row.begin(), row.end());
    }
  CHECK(pieces == whole);
  CHECK(whole[0] != whole[1]);
  // An earlier row again, and a later one straight away.
  forwards.read(2, 40, 1, row);
  CHECK(std::equal(row.begin(), row.end(), whole[2].begin() + 40 * 6));
  forwards.read(2, 7, 1, row);
  CHECK(std::equal(row.begin(), row.end(), whole[2].begin() + 7 * 6));
  options.seed = 2;
  RoutingGenerator other(options);
  CHECK(rows_of(other, 0) != whole[0]);
}

TEST_CASE("generator: options that no routing can have are input errors") {
  const auto refuses = [](const std::string& message, auto change) {
    auto options = small(2, 4, 2, 10);
    change(options);
    CHECK(message_of([&] { RoutingGenerator generator(options); }) == "routing generator: " + message);
  };
  refuses("top_k 5; expected 1 to 4", [](auto& o) { o.top_k = 5; });
  refuses("0 layers; expected 1 to 10000", [](auto& o) { o.layers = 0; });
  refuses("reuse 1.5; expected a probability", [](auto& o) { o.reuse = 1.5; });
  refuses("correlation nan; expected a probability", [](auto& o) { o.correlation = std::nan(""); });
  refuses("Zipf exponent -1; expected 0 to 10", [](auto& o) { o.zipf = -1; });
  refuses("0 prompt and 0 output tokens; expected at least one token", [](auto& o) { o.output_tokens = 0; });
  refuses("counts of 1 layers; expected 2", [](auto& o) { o.counts = {{1, 1, 1, 1}}; });
  refuses("layer 1: too few experts with a count; expected at least 2", [](auto& o) {
    o.counts = {{1, 1, 1, 1}, {0, 0, 0, 9}};
  });
  refuses("layer 0: a negative count; expected 0 or more", [](auto& o) {
    o.counts = {{1, 1, 1, -1}, {1, 1, 1, 1}};
  });
  RoutingGenerator generator(small(2, 4, 2, 10));
  std::vector<std::int16_t> row(4);
  CHECK_THROWS_AS(generator.read(0, 10, 1, row), InputError);
  CHECK_THROWS_AS(generator.read(1, 0, 1, row), InputError);
}

}  // namespace specmoe
