#include <doctest/doctest.h>

#include "sim/planner/flags.hpp"
#include "tests/planner/small_question.hpp"

using namespace specmoe;

namespace {
std::vector<EngineFlags> flags(const Question& question, Formats precision) {
  const Setting setting = read_setting(question, precision);
  REQUIRE(!setting.candidates.empty());
  return flags_for(question, setting, setting.candidates.front(), kSmallNative);
}
bool has(const std::string& command, const std::string& flag) {
  return command.find(flag) != std::string::npos;
}
}  // namespace

TEST_CASE("plan: flags of a model that is all in GPU memory name no CPU") {
  const TemporaryFolder folder;
  const auto all = flags(small_question(folder, 32.5, 32), kSmallNative);
  REQUIRE(all.size() == 2);  // KTransformers divides what does not fit
  CHECK(all[0].command == "llama-server -m small-BF16.gguf -c 1000 -np 1 -ngl 99 -ctk f16 -ctv f16");
  CHECK_FALSE(has(all[1].command, "--cpu-offload-gb"));
  CHECK_FALSE(has(all[1].command, "--quantization"));
  CHECK(all[1].note.empty());
}

TEST_CASE("plan: flags of a model of which 15 of 32 experts fit") {
  const TemporaryFolder folder;
  const auto all = flags(small_question(folder, 15.5, 32), kSmallNative);
  REQUIRE(all.size() == 3);
  // 15 experts: one whole layer of 8, or 3 in each of 4 layers. 17 x 196,608 B are less than a GiB.
  CHECK(has(all[0].command, " --n-cpu-moe 3"));
  CHECK(has(all[1].command, "--kt-method BF16 --kt-num-gpu-experts 3 "));
  CHECK(has(all[2].command, " --cpu-offload-gb 1"));
  CHECK(has(all[2].note, "no equivalent"));
}

TEST_CASE("plan: without room for a layer llama.cpp leaves all experts to the CPU") {
  const TemporaryFolder folder;
  const auto all = flags(small_question(folder, 7.5, 32), kSmallNative);
  CHECK(has(all[0].command, " --cpu-moe"));
  CHECK(has(all[1].command, "--kt-num-gpu-experts 1 "));
}

TEST_CASE("plan: flags name the format, and the context of all sequences") {
  const TemporaryFolder folder;
  Question question = small_question(folder, 200, 32);
  question.batch = 2;
  const auto int4 = flags(question, {WeightFormat::int4, WeightFormat::int8});
  CHECK(has(int4[0].command, "small-Q4_K_M.gguf -c 2000 -np 2"));
  CHECK(has(int4[1].command, "--quantization awq_marlin"));
  const auto fp8 = flags(question, {WeightFormat::fp8, WeightFormat::fp8});
  CHECK(has(fp8[0].command, "small-Q8_0.gguf"));
  CHECK(has(fp8[1].command, "--quantization fp8"));
  const auto int2 = flags(question, {WeightFormat::int2, WeightFormat::int8});
  CHECK(has(int2[0].command, "small-Q2_K.gguf"));
  CHECK(has(int2[1].note, "int2"));
}

TEST_CASE("plan: dense layers at the front count among llama.cpp's layers") {
  const TemporaryFolder folder;
  Question question = small_question(folder, 11.5, 32);
  std::string text = kSmallModel;
  text.replace(text.find("moe_layers: all"), 15, "moe_layers: [1, 2, 3]");
  question.model = folder.write("dense.yaml", text + "dense: {intermediate: 256, gated: true}\n").string();
  // 24 experts; the first layer's dense part takes an expert's room less its router: 10 experts, one whole layer of 8.
  // Layers 1 and 2 stay on the CPU: the first three.
  CHECK(has(flags(question, kSmallNative)[0].command, " --n-cpu-moe 3"));
}
