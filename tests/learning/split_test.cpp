// Which requests are learnt from, which choose, and which judge.
#include "sim/learning/split.hpp"

#include <doctest/doctest.h>

#include <set>

#include "tests/learning/small_data.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

std::multiset<int> all_of(const Split& split) {
  std::multiset<int> out(split.train.begin(), split.train.end());
  out.insert(split.validation.begin(), split.validation.end());
  out.insert(split.test.begin(), split.test.end());
  return out;
}

// Request i has a routing of its own, unless same[i] says whose.
LearningData requests_of(const std::vector<std::string>& labels, const std::vector<int>& same = {}) {
  LearningData data = empty_data(1, 1000, 1);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto own = static_cast<std::int16_t>(same.empty() ? static_cast<int>(i) : same[i]);
    add_request(data, {own, own, 0}, labels[i]);
  }
  return data;
}

}  // namespace

TEST_CASE("split: every request in one part, in the shares asked for, seeded") {
  const LearningData data = requests_of(std::vector<std::string>(50, "x"));
  const Split split = split_requests(data, {});
  CHECK(split.test.size() == 10);       // 20 % of 50
  CHECK(split.validation.size() == 4);  // 10 % of 40
  CHECK(split.train.size() == 36);
  const auto all = all_of(split);
  CHECK(all.size() == 50);
  CHECK(std::set<int>(all.begin(), all.end()).size() == 50);
  CHECK(split_requests(data, {}).test == split.test);
  SplitOptions other;
  other.seed = 2;
  CHECK(split_requests(data, other).test != split.test);
  CHECK(split.description ==
        "50 requests: 36 to learn from, 4 to validate (10 % of the rest), 10 to test (random 20 %: 10); seed "
        "1");
}

TEST_CASE("split: whole labels are tested on, alone or beside a random share") {
  std::vector<std::string> labels;
  for (int i = 0; i < 10; ++i)
    for (const char* label : {"gpqa_main/physics", "sorry_bench_base/x", "mmlu_test/y", "gpqax"})
      labels.push_back(label);
  const LearningData data = requests_of(labels);
  SplitOptions options;
  options.test_share = 0;
  options.test_labels = {"GPQA", "SORRY-Bench"};
  const Split split = split_requests(data, options);
  CHECK(split.test.size() == 20);
  CHECK(split.validation.size() == 2);
  for (const int r : split.test) CHECK(r % 4 < 2);
  REQUIRE(split.test_parts.size() == 2);
  CHECK(split.test_parts[0].name == "GPQA");
  CHECK(split.test_parts[0].requests == std::vector<int>{0, 4, 8, 12, 16, 20, 24, 28, 32, 36});

  options.test_share = 0.2;  // 4 of the other 20
  const Split both = split_requests(data, options);
  CHECK(both.test.size() == 24);
  REQUIRE(both.test_parts.size() == 3);
  CHECK(both.test_parts[0].name == "random 20 %");
  CHECK(all_of(both).size() == 40);

  options.test_labels = {"MMLU-Pro"};
  CHECK(message_of([&] { split_requests(data, options); }).find("no request has the label MMLU-Pro") !=
        std::string::npos);
}

TEST_CASE("split: requests with equal routing stay together, also across labels") {
  std::vector<std::string> labels(20, "x");
  std::vector<int> same;
  for (int i = 0; i < 20; ++i) same.push_back(i / 2);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SplitOptions options;
    options.seed = seed;
    const Split split = split_requests(requests_of(labels, same), options);
    CHECK(all_of(split).size() == 20);
    for (const auto* part : {&split.train, &split.validation, &split.test}) {
      CHECK(part->size() % 2 == 0);
      for (const int r : *part) CHECK(std::count(part->begin(), part->end(), r ^ 1) == 1);
    }
  }
  labels[6] = "domain";  // its twin is 7
  SplitOptions options;
  options.test_share = 0;
  options.test_labels = {"domain"};
  CHECK(split_requests(requests_of(labels, same), options).test == std::vector<int>{6, 7});
}

TEST_CASE("split: nothing to learn from, or no share, is an error") {
  const LearningData data = requests_of({"x", "x"});
  SplitOptions options;
  options.test_share = 0.9;
  CHECK(message_of([&] { split_requests(data, options); }).find("leave 0 to learn from and 2 to test on") !=
        std::string::npos);
  options.test_share = 1.5;
  CHECK(message_of([&] { split_requests(data, options); }).find("test share 1.5") != std::string::npos);
  options.test_share = 0;
  CHECK(message_of([&] { split_requests(data, options); }).find("0 to test on") != std::string::npos);
}
