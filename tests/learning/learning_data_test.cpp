// Recordings in memory.
#include "sim/learning/learning_data.hpp"

#include <doctest/doctest.h>

#include "sim/learning/predictions.hpp"
#include "tests/learning/small_data.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;
using namespace specmoe::testing;

TEST_CASE("learning data: what a trace holds, written and read again") {
  const TemporaryFolder folder;
  const LearningData data = random_recording(3, 7, 2, 4, 6, 1);
  const std::vector<int> all{0, 1, 2, 3}, some{3, 1};
  write_trace(data, all, folder / "t.h5");
  const LearningData again = load_learning_data(*RoutingTrace::open(folder / "t.h5"));
  CHECK(again.chosen == data.chosen);
  CHECK(again.weights == data.weights);
  CHECK(again.token_ids == data.token_ids);
  CHECK(again.vocabulary == 5);
  REQUIRE(again.requests.size() == 4);
  CHECK(again.requests[2].first_row == 12);
  CHECK(again.requests[2].prefill_rows == 2);
  CHECK(again.requests[2].label == "a");

  write_trace(data, some, folder / "some.h5");
  const LearningData few = load_learning_data(*RoutingTrace::open(folder / "some.h5"));
  CHECK(std::vector(few.chosen_at(0, 1).begin(), few.chosen_at(0, 1).end()) ==
        std::vector(data.chosen_at(18, 1).begin(), data.chosen_at(18, 1).end()));
  CHECK(few.token_ids[6] == data.token_ids[6]);
}

TEST_CASE("learning data: the first requests and rows only, the vocabulary stays the whole trace's") {
  const TemporaryFolder folder;
  LearningData data = random_recording(2, 5, 1, 3, 4, 2);
  data.token_ids.back() = 99;
  write_trace(data, std::vector<int>{0, 1, 2}, folder / "t.h5");
  const auto trace = RoutingTrace::open(folder / "t.h5");
  const LearningData part = load_learning_data(*trace, {2, 3});
  REQUIRE(part.requests.size() == 2);
  CHECK(part.rows() == 6);
  CHECK(part.requests[1].first_row == 3);
  CHECK(part.requests[1].trace_row == 4);
  CHECK(part.requests[1].prefill_rows == 1);
  CHECK(part.token_ids[3] == data.token_ids[4]);
  CHECK(part.vocabulary == 100);
}

TEST_CASE("trace: token ids are read, and asked for in vain where there are none") {
  const TemporaryFolder folder;
  LearningData data = random_recording(2, 5, 1, 2, 4, 3);
  const auto write = [&] { write_trace(data, std::vector<int>{0, 1}, folder / "t.h5"); };
  write();
  std::vector<std::int32_t> ids(2);
  RoutingTrace::open(folder / "t.h5")->read_token_ids(1, 1, 2, ids);
  CHECK(ids == std::vector<std::int32_t>{data.token_ids[5], data.token_ids[6]});
  CHECK(message_of([&] {
          RoutingTrace::open(folder / "t.h5")->read_token_ids(1, 3, 2, ids);
        }).find("2 rows from row 3") != std::string::npos);
  data.token_ids[2] = -7;
  write();
  CHECK(message_of([&] {
          load_learning_data(*RoutingTrace::open(folder / "t.h5"));
        }).find("/token_ids: -7 in token 2; expected ids from 0 on") != std::string::npos);
  data.header.has_token_ids = data.has_token_ids = false;
  write();
  CHECK(message_of([&] {
          RoutingTrace::open(folder / "t.h5")->read_token_ids(0, 0, 2, ids);
        }).find("has no token ids") != std::string::npos);
  CHECK(load_learning_data(*RoutingTrace::open(folder / "t.h5")).vocabulary == 0);
}

TEST_CASE("learning data: hidden states in pieces") {
  const TemporaryFolder folder;
  const LearningData data = random_recording(2, 5, 1, 1, 3, 4);
  write_trace(data, std::vector<int>{0}, folder / "t.h5");
  CHECK_FALSE(HiddenStates::recorded(folder / "t.h5"));
  CHECK(message_of([&] { HiddenStates(folder / "t.h5"); }).find("has no hidden states") != std::string::npos);
  std::vector<float> values(3 * 2 * 4);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  H5File::modify(folder / "t.h5").write<float>("/hidden", values, {3, 2, 4});
  const HiddenStates hidden(folder / "t.h5");
  CHECK(hidden.width() == 4);
  std::vector<float> row(8);
  hidden.read(2, 1, row);
  CHECK(row == std::vector<float>{16, 17, 18, 19, 20, 21, 22, 23});
  CHECK(message_of([&] { hidden.read(3, 1, row); }).find("1 rows of /hidden from 3") != std::string::npos);
}
