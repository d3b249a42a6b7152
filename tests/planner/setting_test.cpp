#include <doctest/doctest.h>

#include <set>

#include "sim/base/input_error.hpp"
#include "sim/planner/setting.hpp"
#include "tests/planner/small_question.hpp"

using namespace specmoe;

namespace {
std::set<Way> ways(const Setting& setting) {
  std::set<Way> found;
  for (const Candidate& candidate : setting.candidates) found.insert(candidate.way);
  return found;
}
}  // namespace

TEST_CASE("plan: the bill adds up by hand") {
  const TemporaryFolder folder;
  const Setting setting = read_setting(small_question(folder, 15.5, 32), kSmallNative);
  const std::vector<std::pair<std::string, Bytes>> items{{"weights", {kSmallRest}},
                                                         {"kv_cache", {kSmallCache}},
                                                         {"activations", {kSmallActivations}},
                                                         {"workspace", {64 << 20}},
                                                         {"reserved", {600'000'000}}};
  CHECK(setting.bill.items == items);
  CHECK(setting.all_experts == Bytes{32 * kSmallExpert});
  CHECK(setting.gpu_room == Bytes{15 * kSmallExpert});
  CHECK(setting.host_free == Bytes{32 * kSmallExpert});
  CHECK(setting.disk_free == Bytes{1'000'000'000'000});
}

TEST_CASE("plan: a batch of four has four caches") {
  const TemporaryFolder folder;
  Question question = small_question(folder, 200, 32);
  question.batch = 4;
  const Setting setting = read_setting(question, kSmallNative);
  CHECK(setting.bill.items[1].second == Bytes{4 * kSmallCache});
}

TEST_CASE("plan: smaller formats make room for more experts") {
  const TemporaryFolder folder;
  // int4 with scales is 4.25 bits: an expert takes 52,224 B, all 32 take 1.67 MB of the 15.5 x 0.197 = 3.05 MB.
  const Setting setting =
      read_setting(small_question(folder, 15.5, 32), {WeightFormat::int4, WeightFormat::bf16});
  CHECK(setting.all_experts == Bytes{32 * 52'224});
  CHECK(ways(setting) == std::set{Way::resident});
}

TEST_CASE("plan: where all experts fit in GPU memory nothing else is tried") {
  const TemporaryFolder folder;
  const Setting setting = read_setting(small_question(folder, 32.5, 0, {1'000'000}), kSmallNative);
  REQUIRE(setting.candidates.size() == 1);
  const Candidate& candidate = setting.candidates.front();
  CHECK(candidate.way == Way::resident);
  CHECK(candidate.gpu_experts == Bytes{32 * kSmallExpert});
  CHECK(candidate.host == Bytes{0});
  CHECK(setting.gpu_memory(candidate) == Bytes{kSmallTaken + 32 * kSmallExpert});
}

TEST_CASE("plan: with room for all in host memory they may be fetched, shared or left to the CPU") {
  const TemporaryFolder folder;
  const Setting setting = read_setting(small_question(folder, 15.5, 32), kSmallNative);
  CHECK(ways(setting) == std::set{Way::fetched, Way::shared, Way::on_cpu});
  for (const Candidate& candidate : setting.candidates) {
    CAPTURE(candidate.name);
    if (candidate.way != Way::on_cpu) {
      CHECK(candidate.gpu_experts == Bytes{15 * kSmallExpert});
      CHECK(candidate.host == Bytes{32 * kSmallExpert});
    } else if (candidate.cpu_layers == 0) {
      CHECK(candidate.host == Bytes{17 * kSmallExpert});
    } else {
      // One whole layer of 8 in the room of 15.
      CHECK(candidate.cpu_layers == 3);
      CHECK(candidate.gpu_experts == Bytes{8 * kSmallExpert});
      CHECK(candidate.host == Bytes{24 * kSmallExpert});
    }
  }
}

TEST_CASE("plan: host memory for what the GPU does not hold is enough for the CPU alone") {
  const TemporaryFolder folder;
  // 17 are not on the GPU; three whole layers would be 24.
  const Setting setting = read_setting(small_question(folder, 15.5, 17), kSmallNative);
  REQUIRE(setting.candidates.size() == 1);
  CHECK(setting.candidates.front().way == Way::on_cpu);
  CHECK(setting.candidates.front().cpu_layers == 0);
}

TEST_CASE("plan: from the disk where host memory is too small, which then caches") {
  const TemporaryFolder folder;
  const Setting setting = read_setting(small_question(folder, 15.5, 16), kSmallNative);
  CHECK(ways(setting) == std::set{Way::from_disk});
  for (const Candidate& candidate : setting.candidates) {
    CHECK(candidate.disk == Bytes{32 * kSmallExpert});
    CHECK(candidate.host == Bytes{16 * kSmallExpert});
    CHECK(candidate.gpu_experts == Bytes{15 * kSmallExpert});
  }
}

TEST_CASE("plan: what is missing is told in bytes") {
  const TemporaryFolder folder;
  const Question disk = small_question(folder, 15.5, 16, {31 * kSmallExpert});
  // 17 x 196,608 B
  CHECK(what_is_missing(disk, read_setting(disk, kSmallNative)) ==
        "0.01 GB of experts, of which GPU memory holds 0.00 GB, need 0.00 GB of host memory or disk, which "
        "have "
        "0.00 GB and 0.01 GB free");
  Question gpu = small_question(folder, 0.5, 32);
  const Setting setting = read_setting(gpu, kSmallNative);
  CHECK(setting.candidates.empty());
  // Half an expert is missing: 98,304 B are 96 positions of 1,024 B, so 904 would do, in round hundreds 900.
  CHECK(what_is_missing(gpu, setting).ends_with("a context of 900 would fit"));
}

TEST_CASE("plan: a context shorter than its answer, a model with an encoder, host memory that is the GPU's") {
  const TemporaryFolder folder;
  Question question = small_question(folder, 15.5, 32);
  question.output = 1000;
  CHECK_THROWS_AS(read_setting(question, kSmallNative), InputError);
  question = small_question(folder, 15.5, 32);
  question.model = "switch-base-128";
  CHECK_THROWS_AS(read_setting(question, kSmallNative), InputError);
  question = small_question(folder, 15.5, 32);
  question.platform = "jetson_agx_orin_64gb";
  question.changes.clear();
  CHECK_THROWS_AS(read_setting(question, kSmallNative), InputError);
}

TEST_CASE("plan: precisions are the native one and those below") {
  using enum WeightFormat;
  CHECK(precisions_below({bf16, bf16}, false) ==
        std::vector<Formats>{{bf16, bf16}, {int8, int8}, {int4, int8}, {int3, int8}, {int2, int8}});
  CHECK(precisions_below({bf16, bf16}, true)[1] == Formats{fp8, fp8});
  CHECK(precisions_below({fp8, fp8}, true) ==
        std::vector<Formats>{{fp8, fp8}, {int4, fp8}, {int3, fp8}, {int2, fp8}});
  // int4 has the bits of mxfp4.
  CHECK(precisions_below({mxfp4, bf16}, false) ==
        std::vector<Formats>{{mxfp4, bf16}, {mxfp4, int8}, {int3, int8}, {int2, int8}});
}
