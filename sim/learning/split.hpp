// Which requests are learnt from, which choose, and which judge.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sim/learning/learning_data.hpp"

namespace specmoe {

/// How requests are divided.
struct SplitOptions {
  double test_share = 0.2;        // of the requests, at random; 0 to 1
  double validation_share = 0.1;  // of what the test left
  /// Every request whose label is one of these, or starts with it and a separator, is tested on (case does not matter,
  /// and - is _: "SORRY-Bench" names sorry_bench_base/...); test_share is then of the others, and may be 0.
  std::vector<std::string> test_labels;
  std::uint64_t seed = 1;

  friend bool operator==(const SplitOptions&, const SplitOptions&) = default;
};

/// Indices of LearningData::requests, ascending. Requests with equal routing stay together.
struct Split {
  /// Requests that are tested on for one reason.
  struct TestPart {
    std::string name;  // "random 20 %", or a label
    std::vector<int> requests;
  };
  std::vector<int> train, validation, test;
  std::vector<TestPart> test_parts;  // test by why it is tested on: the random share first, then the labels
  std::string description;           // one line; with the same data and options, the same split
};

/// @throws InputError if a label is nobody's, or a part is left empty (validation may be, at a share of 0).
Split split_requests(const LearningData& data, const SplitOptions& options);

}  // namespace specmoe
