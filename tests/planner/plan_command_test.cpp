#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/command.hpp"
#include "tests/planner/small_question.hpp"

using namespace specmoe;
using Json = nlohmann::json;

TEST_CASE("plan: the command answers in one sentence first, then the bill and the rows") {
  const TemporaryFolder folder;
  folder.write("small.yaml", kSmallModel);
  const CommandResult result = specmoe_command(
      folder, "plan --model small.yaml --platform rtx4090 --context 1000 --output 100 --batch 2");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  CHECK(result.out.starts_with("Yes: small runs on rtx4090 at about "));
  const std::size_t bill = result.out.find("Memory at "),
                    rows = result.out.find("The best of each precision"),
                    flags = result.out.find("llama-server");
  CHECK(bill < rows);
  CHECK(rows < flags);
  CHECK(flags != std::string::npos);
  CHECK(result.out.find("larger batch") == std::string::npos);
}

TEST_CASE("plan: the same question, the same answer") {
  const TemporaryFolder folder;
  const std::string question =
      "plan --model mixtral-8x7b --platform rtx4090 --host-memory '64 GB' --batch 1 --format json --jobs ";
  const CommandResult one = specmoe_command(folder, question + "1"),
                      two = specmoe_command(folder, question + "2");
  REQUIRE_MESSAGE(one.status == 0, one.err);
  CHECK(one.out == two.out);
}

TEST_CASE("plan: a model that has no place is an answer, not an error") {
  const TemporaryFolder folder;
  // 16 GB on the GPU and 4 GB of host memory for 2.2 TB in bf16; the disk is as small.
  const CommandResult result =
      specmoe_command(folder,
                      "plan --model glam-64b-64e --platform rtx4090 --host-memory '8 GB' --format json "
                      "--set 'platform.memories.nvme.capacity=100 GB'");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  const Json json = Json::parse(result.out);
  CHECK(json["feasible"] == false);
  CHECK(json["rows"].empty());
  CHECK(json["answer"].get<std::string>().starts_with("No: glam-64b-64e does not run on rtx4090"));
}

TEST_CASE("plan: a context that does not fit is answered with one that does") {
  const TemporaryFolder folder;
  const CommandResult result =
      specmoe_command(folder, "plan --model mixtral-8x7b --platform rtx4090 --context 1000000");
  REQUIRE_MESSAGE(result.status == 0, result.err);
  CHECK(result.out.starts_with("No: "));
  CHECK(result.out.find("a context of ") != std::string::npos);
}

TEST_CASE("plan: bad questions are one line and status 2") {
  const TemporaryFolder folder;
  const std::pair<const char*, const char*> questions[] = {
      {"--model nope --platform rtx4090", "mixtral-8x7b"},
      {"--model mixtral-8x7b --platform nope", "rtx4090"},
      {"--model mixtral-8x7b --platform rtx4090 --output 4096", "less than the 4096 positions"},
      {"--model mixtral-8x7b --platform rtx4090 --target fast", "--target"},
      {"--model mixtral-8x7b --platform rtx4090 --batch 5000", "--batch"},
      {"--model mixtral-8x7b --platform rtx4090 --host-memory 64", "number with unit"},
      {"--model mixtral-8x7b --platform rtx4090 --set platform.memories.nowhere.read=x2", "nowhere"},
      {"--model mixtral-8x7b --platform jetson_agx_orin_64gb --host-memory '64 GB'", "one memory"}};
  for (const auto& [question, told] : questions) {
    CAPTURE(question);
    const CommandResult result = specmoe_command(folder, std::string("plan ") + question);
    CHECK(result.status == 2);
    CHECK(result.out.empty());
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_MESSAGE(result.err.find(told) != std::string::npos, result.err);
  }
}
