#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "models/moe/import/model_import.hpp"
#include "sim/base/input_error.hpp"
#include "tests/moe/small_gguf.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

MoeModel imported(const std::string& bytes, const std::string& name = "Tiny.gguf") {
  return import_gguf(std::as_bytes(std::span(bytes)), name);
}

std::string complaint(const std::string& bytes) {
  try {
    imported(bytes);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("gguf: shapes come from tensors, exact bytes from their types") {
  const MoeModel model = imported(qwen3().bytes());
  CHECK(model.name == "tiny");
  CHECK(model.hidden == 256);
  CHECK(model.vocabulary == 10);
  CHECK_FALSE(model.tied_embeddings);
  CHECK(model.blocks.size() == 2);
  CHECK(model.moe_layers == 2);
  CHECK(model.expert.intermediate == 512);
  CHECK(model.expert.gated);
  CHECK(model.attention.kv_heads == 2);
  CHECK(model.attention.head_dim == 64);
  CHECK(model.attention.qk_norm);
  // 131072 weights a matrix: 512 blocks of 144 B in q4_K, of 210 B in q6_K. An expert has 221,184 or 254,976 B.
  CHECK(model.expert_bytes().count == (3 * 512 * 144 + 512 * (2 * 144 + 210)) / 2);
  // 4.5 bits are nearest to int4's 4.25, 8.5 of attention to int8's 8.125
  CHECK(model.expert_format == WeightFormat::int4);
  CHECK(model.format == WeightFormat::int8);
  // a block: q8_0 of 196,608 weights in blocks of 32 with 34 B = 208,896 B; f32: 256 + 256 + 1024 + 128 = 1664, 6656 B
  // q6_K: two tables of 2560 weights, 10 blocks of 210 B each; the last norm 1024 B
  CHECK(model.resident_bytes().count == 2 * (208'896 + 6'656) + 2 * 2'100 + 1'024);
  CHECK(model.notes.find("routed experts are q4_K, q6_K: 4.84 bits a weight, 0.22 to 0.25 MB by layer") == 0);
  CHECK(model.notes.ends_with(
      fmt::format("{} parameters", static_cast<std::int64_t>(model.parameters().total))));
}

TEST_CASE("gguf: experts that are all MXFP4 are priced as such") {
  Gguf file = front("gpt-oss", 1).number("gpt-oss.attention.sliding_window", 128);
  add_attention(file, 0);
  file.tensor("token_embd.weight", {256, 10}, kQ8);
  for (const char* name : {"ffn_gate_exps", "ffn_up_exps"})
    file.tensor(fmt::format("blk.0.{}.weight", name), {256, 512, 4}, kMxfp4);
  file.tensor("blk.0.ffn_down_exps.weight", {512, 256, 4}, kMxfp4)
      .tensor("blk.0.attn_sinks.weight", {4}, kF32);
  const MoeModel model = imported(file.bytes());
  CHECK(model.expert_format == WeightFormat::mxfp4);
  CHECK(model.expert_bytes().count == 3 * 4096 * 17);  // 131072 weights in blocks of 32
  CHECK(model.attention.sinks);
  CHECK(model.tied_embeddings);
  CHECK(model.blocks.front().windowed);  // every other layer from the first
}

TEST_CASE(
    "gguf: latent attention, a dense first block, a shared expert and groups, as DeepSeek's files have "
    "them") {
  Gguf file = front("deepseek2", 2);
  file.number("deepseek2.attention.head_count_kv", 1)
      .number("deepseek2.attention.kv_lora_rank", 32)
      .number("deepseek2.attention.q_lora_rank", 64)
      .number("deepseek2.attention.key_length", 48)
      .number("deepseek2.attention.value_length", 32)
      .number("deepseek2.attention.key_length_mla", 40)
      .number("deepseek2.attention.value_length_mla", 24)
      .number("deepseek2.rope.dimension_count", 16)
      .number("deepseek2.expert_group_count", 2)
      .number("deepseek2.expert_group_used_count", 1)
      .tensor("token_embd.weight", {256, 10}, kQ8)
      .tensor("blk.0.attn_kv_a_mqa.weight", {256, 48}, kQ8)
      .tensor("blk.0.ffn_gate.weight", {256, 768}, kQ8)
      .tensor("blk.0.ffn_up.weight", {256, 768}, kQ8)
      .tensor("blk.0.ffn_down.weight", {768, 256}, kQ8)
      .tensor("blk.1.attn_kv_a_mqa.weight", {256, 48}, kQ8)
      .tensor("blk.1.ffn_gate_shexp.weight", {256, 512}, kQ8)
      .tensor("blk.1.ffn_up_shexp.weight", {256, 512}, kQ8)
      .tensor("blk.1.ffn_down_shexp.weight", {512, 256}, kQ8);
  add_experts(file, 1, kQ4K);
  const MoeModel model = imported(file.bytes());
  REQUIRE(model.attention.latent);
  CHECK(model.attention.latent->nope == 24);
  CHECK(model.attention.latent->value == 24);
  CHECK(model.attention.cached() == 48);
  CHECK(model.blocks.at(0).moe_layer == -1);
  CHECK(model.dense->intermediate == 768);
  CHECK(model.shared->intermediate == 512);
  CHECK(model.expert_groups == 2);
  CHECK(model.expert_groups_kept == 1);
}

TEST_CASE("gguf: a block with a state is recurrent, its projections those of the hidden state") {
  Gguf file = front("granitehybrid", 2);
  file.numbers("granitehybrid.attention.head_count_kv", {0, 2})
      .number("granitehybrid.ssm.conv_kernel", 4)
      .number("granitehybrid.ssm.inner_size", 512)
      .number("granitehybrid.ssm.state_size", 128)
      .number("granitehybrid.ssm.group_count", 1)
      .tensor("token_embd.weight", {256, 10}, kQ8)
      .tensor("blk.0.attn_norm.weight", {256}, kF32)
      .tensor("blk.0.ssm_in.weight", {256, 1288}, kQ8)
      .tensor("blk.0.ssm_conv1d.weight", {4, 768}, kF32)
      .tensor("blk.0.ssm_a", {1, 8}, kF32)
      .tensor("blk.0.ssm_out.weight", {512, 256}, kQ8);
  add_experts(file, 0, kQ4K);
  add_attention(file, 1);
  add_experts(file, 1, kQ4K);
  const MoeModel model = imported(file.bytes());
  CHECK(model.blocks.at(0).recurrent);
  CHECK_FALSE(model.blocks.at(1).recurrent);
  REQUIRE(model.recurrence);
  CHECK(model.recurrence->in == 1288);
  CHECK(model.recurrence->out == 512);
  CHECK(model.recurrence->other == 4 * 768 + 8);
  CHECK(model.recurrence->state == 512 * 128 + 768 * 3);
  CHECK(model.attention.kv_heads == 2);  // of the layer that has any
}

TEST_CASE("gguf: blocks that predict further tokens are counted apart") {
  Gguf file = front("glm4moe", 2).number("glm4moe.nextn_predict_layers", 1);
  file.tensor("token_embd.weight", {256, 10}, kQ8);
  add_attention(file, 0);
  add_experts(file, 0, kQ4K);
  const std::int64_t alone = imported(file.bytes()).resident_bytes().count;
  add_attention(file, 1);
  add_experts(file, 1, kQ4K);
  const MoeModel model = imported(file.bytes());
  CHECK(model.blocks.size() == 1);
  CHECK(model.prediction_blocks == 1);
  CHECK(model.resident_bytes().count == alone);
}

TEST_CASE("gguf: of a split file the first part is enough, and what it lacks is marked") {
  Gguf file =
      front("qwen3moe", 3).number("split.count", 2).number("qwen3moe.expert_feed_forward_length", 512);
  file.tensor("token_embd.weight", {256, 10}, kQ6K);
  add_attention(file, 0);
  add_experts(file, 0, kQ4K);
  const MoeModel model = imported(file.bytes());
  CHECK(model.moe_layers == 3);
  CHECK(model.expert_bytes().count == 3 * 512 * 144);
  CHECK_FALSE(model.stored_resident);
  CHECK(model.unverified ==
        "the first of 2 parts lists experts of 1 layers, whose mean is taken; all else by format");
}

TEST_CASE("gguf: what is written is read back as the same model") {
  const MoeModel model = imported(qwen3().bytes());
  const MoeModel again = MoeModel::read(Yaml::parse(model.written(), "again.yaml"));
  CHECK(again.expert_bytes() == model.expert_bytes());
  CHECK(again.resident_bytes() == model.resident_bytes());
  CHECK(again.parameters().total == model.parameters().total);
  CHECK(again.written() == model.written());
}

TEST_CASE("gguf: a file that ends early is refused wherever it ends") {
  const std::string whole = qwen3().bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK(complaint(whole.substr(0, length)).find("Tiny.gguf: ") == 0);
  }
}

TEST_CASE("gguf: lengths in the file allocate nothing") {
  std::string bytes = qwen3().bytes();
  const std::uint64_t huge = ~std::uint64_t{0};
  std::memcpy(bytes.data() + 8, &huge, 8);  // tensors
  CHECK(
      complaint(bytes).find("entries and 18446744073709551615 tensors; expected at most 65536 and 1048576") !=
      std::string::npos);
  bytes = qwen3().bytes();
  std::memcpy(bytes.data() + 24, &huge, 8);  // the first key's length
  CHECK(complaint(bytes) ==
        "Tiny.gguf: ends within its metadata or list of tensors; expected a whole GGUF file (of a split one "
        "the first part)");
}

TEST_CASE("gguf: every fault is one line") {
  CHECK(complaint("GGML....") == "Tiny.gguf: is no GGUF file; expected a file that begins with \"GGUF\"");
  CHECK(complaint(Gguf().text("general.architecture", "llama").bytes()) ==
        "Tiny.gguf: a dense model (llama), without experts; expected a Mixture-of-Experts model, with "
        "llama.expert_count above 1");
  CHECK(complaint(front("qwen3mo", 1).bytes()).ends_with("(did you mean \"qwen3moe\"?)"));
  CHECK(complaint(front("qwen3moe", 1).bytes()) ==
        "Tiny.gguf: blk.0: no tensors; expected tensors of 1 blocks");
  CHECK(complaint(front("qwen3moe", 0).bytes()) ==
        "Tiny.gguf: qwen3moe.block_count: 0; expected a whole number from 1 to 1024");
  CHECK(complaint(qwen3().tensor("x", {256}, 99).bytes()) ==
        "Tiny.gguf: x: type 99; expected a type of ggml that is in use");
  CHECK(complaint(qwen3().tensor("x", {0}, 0).bytes()) ==
        "Tiny.gguf: x: extent 0; expected a tensor of 1 to 2^50 elements");
  CHECK(complaint(front("qwen3moe", 1).text("qwen3moe.rope.dimension_count", "x").bytes())
            .find("Tiny.gguf: ") == 0);
}
