#include <doctest/doctest.h>

#include <stdexcept>

#include "tests/moe/tiny_model.hpp"

using namespace specmoe;

namespace {

std::vector<Kernel> operator+(std::vector<Kernel> a, const std::vector<Kernel>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A whole step of a decoder-only model whose tokens all go to the same top-k experts.
std::vector<Kernel> whole_step(const MoeModel& model, const StepShape& shape) {
  std::vector<Kernel> all = model.embed(shape);
  for (int block = 0; block < static_cast<int>(model.blocks.size()); ++block) {
    all = all + model.attend(block, shape) + model.feed_forward(block, shape.tokens);
    if (model.blocks[block].moe_layer < 0) continue;
    all = all + model.route(block, shape.tokens) + model.combine(block, shape.tokens);
    for (std::int32_t e = 0; e < model.top_k; ++e) all = all + model.one_expert(block, e, shape.tokens);
  }
  return all + model.head(shape.sequences);
}

}  // namespace

TEST_CASE("kernels: attention of a decoder block") {
  const MoeModel model = tiny(kTinyDecoder);
  StepShape shape;
  shape.add_sequence(4, 2, model.attention.window);
  CHECK(describe(model.attend(1, shape)) ==
        "norm: [2,4] r1 w1\n"
        "qkv: [2,4]x[4,8]\n"
        "qk_norm: [2,6] r1 w1\n"
        "rotary: [2,6] r1 w1\n"
        "attention: q2 kv6 pairs11\n"
        "output: [2,4]x[4,4]\n"
        "residual_norm: [2,4] r2 w2\n");
  const Kernel attention = model.attend(0, shape).at(4);  // block 0 has a window of 3
  CHECK(describe(attention) == "attention: q2 kv4 pairs6");
  CHECK(attention.layer == 0);
}

TEST_CASE("kernels: router, shared expert, routed experts and their sum") {
  const MoeModel model = tiny(kTinyDecoder).with_expert_format(WeightFormat::int4);
  CHECK(describe(model.route(1, 3)) == "router: [3,4]x[4,4]\ntop_k: [3,4] k2\n");
  CHECK(describe(model.look_ahead(0, 3)) == "look_ahead_router: [3,4]x[4,4]\nlook_ahead_top_k: [3,4] k2\n");
  CHECK(model.look_ahead(0, 3).front().layer == 1);  // MoE layer 0 is block 1
  CHECK(describe(model.feed_forward(1, 3)) ==
        "shared_up: [3,4]x[4,5]\n"
        "shared_activation: [3,5] r1 w1\n"
        "shared_down: [3,5]x[5,4]\n"
        "shared_gate: [3,4]x[4,1]\n");
  const std::vector<Kernel> expert = model.one_expert(1, 2, 3);
  CHECK(describe(expert) ==
        "expert_up: [3,4]x[4,6]\n"
        "expert_activation: [3,3] r2 w1\n"
        "expert_down: [3,3]x[3,4]\n");
  CHECK(expert.front().expert == 2);
  CHECK(std::get<Gemm>(expert.front().work).weights == WeightFormat::int4);
  CHECK(std::get<Gemm>(model.route(1, 3).front().work).weights == WeightFormat::bf16);
  CHECK(describe(model.grouped_experts(1, 3, 6)) ==
        "experts_up: [6,4]x3[4,6]\n"
        "experts_activation: [6,3] r2 w1\n"
        "experts_down: [6,3]x3[3,4]\n");
  CHECK(describe(model.combine(1, 3)) == "combine: [3,4] r4 w1\n");  // 2 routed, 1 shared, the residual
}

TEST_CASE("kernels: dense block, embedding and head") {
  const MoeModel model = tiny(kTinyDecoder);
  CHECK(describe(model.feed_forward(0, 3)) ==
        "dense_up: [3,4]x[4,12]\n"
        "dense_activation: [3,6] r2 w1\n"
        "dense_down: [3,6]x[6,4]\n"
        "residual: [3,4] r2 w1\n");
  StepShape shape;
  shape.add_sequence(0, 3, 0);
  CHECK(describe(model.embed(shape)) == "embed: [3,4] r1 w1\n");
  CHECK(describe(model.head(1)) == "final_norm: [1,4] r1 w1\nlm_head: [1,4]x[4,10]\nsampling: [1,10] k1\n");
  CHECK(tiny(kTinyEncoderDecoder).feed_forward(1, 3).empty());  // experts, none of them shared
}

TEST_CASE("kernels: an encoder block attends both ways, without rotary embedding") {
  StepShape shape;
  shape.add_encoder_sequence(5);
  CHECK(describe(tiny(kTinyEncoderDecoder).attend(0, shape)) ==
        "norm: [5,4] r1 w1\n"
        "qkv: [5,4]x[4,12]\n"
        "attention: q5 kv5 pairs25\n"
        "output: [5,4]x[4,4]\n"
        "residual_norm: [5,4] r2 w2\n");
}

TEST_CASE("kernels: cross-attention computes the encoder's keys and values once, in the first decoder step") {
  const MoeModel model = tiny(kTinyEncoderDecoder);
  StepShape first;
  first.add_sequence(0, 1, 0);
  first.encoder_positions = first.new_encoder_positions = 5;
  const std::string self =
      "norm: [1,4] r1 w1\n"
      "qkv: [1,4]x[4,12]\n"
      "attention: q1 kv1 pairs1\n"
      "output: [1,4]x[4,4]\n"
      "residual_norm: [1,4] r2 w2\n";
  const std::string cross =
      "cross_query: [1,4]x[4,4]\n"
      "cross_attention: q1 kv5 pairs5\n"
      "cross_output: [1,4]x[4,4]\n"
      "residual_norm: [1,4] r2 w2\n";
  // the encoder's final norm comes before its first use
  CHECK(describe(model.attend(2, first)) ==
        self + "encoder_norm: [5,4] r1 w1\ncross_key_value: [5,4]x[4,8]\n" + cross);
  CHECK(describe(model.attend(3, first)) == self + "cross_key_value: [5,4]x[4,8]\n" + cross);
  StepShape later = first;
  later.new_encoder_positions = 0;
  CHECK(describe(model.attend(3, later)) == self + cross);
}

TEST_CASE("kernels: experts one by one and grouped do the same arithmetic on the same weights") {
  const MoeModel model = MoeModel::load("gpt-oss-20b");
  // 32 experts of 10 rows each; weights are rounded up to a byte once a launch
  double one_by_one = 0, grouped = 0, one_by_one_bytes = 0, grouped_bytes = 0;
  for (std::int32_t e = 0; e < 32; ++e)
    for (const Kernel& kernel : model.one_expert(0, e, 10)) {
      one_by_one += flops(kernel).value;
      one_by_one_bytes += static_cast<double>(memory_traffic(kernel).count);
    }
  for (const Kernel& kernel : model.grouped_experts(0, 32, 320)) {
    grouped += flops(kernel).value;
    grouped_bytes += static_cast<double>(memory_traffic(kernel).count);
  }
  CHECK(grouped == doctest::Approx(one_by_one).epsilon(1e-12));
  CHECK(grouped_bytes == doctest::Approx(one_by_one_bytes).epsilon(1e-6));
}

TEST_CASE("kernels: a decode step at batch 1 reads the active weights and the KV cache, and little else") {
  for (const std::string& name : model_names()) {
    const MoeModel model = MoeModel::load(name);
    if (model.encoder_decoder()) continue;
    CAPTURE(name);
    StepShape shape;
    shape.add_sequence(1000, 1, model.attention.window);
    Bytes expected = model.resident_bytes() + model.expert_bytes() * model.top_k * model.moe_layers +
                     model.kv_bytes(shape);
    // of the input embedding one row is read
    if (!model.tied_embeddings)
      expected -= weight_bytes(model.vocabulary * model.hidden, model.embedding_format);
    // a recurrent layer's state (float32) is read and written
    for (const Block& block : model.blocks)
      if (block.recurrent) expected += Bytes{4 * model.recurrence->state};
    Bytes traffic;
    for (const Kernel& kernel : whole_step(model, shape)) traffic += memory_traffic(kernel);
    CHECK(traffic / expected == doctest::Approx(1).epsilon(0.01));
  }
}

TEST_CASE("kernels: prefill costs two operations a token and active parameter, attention apart") {
  for (const std::string& name : model_names()) {
    const MoeModel model = MoeModel::load(name);
    if (model.encoder_decoder()) continue;
    CAPTURE(name);
    StepShape shape;
    shape.add_sequence(0, 64, model.attention.window);
    // the LM head for the last position only
    const double expected = 2 * 64 * model.parameters().active_without_embeddings +
                            2.0 * static_cast<double>(model.vocabulary * model.hidden);
    double operations = 0;
    for (const Kernel& kernel : whole_step(model, shape))
      if (!std::holds_alternative<Attention>(kernel.work)) operations += flops(kernel).value;
    CHECK(operations / expected == doctest::Approx(1).epsilon(0.01));
  }
}

TEST_CASE("kernels: asking a block for what it has not is an error of ours") {
  const MoeModel model = tiny(kTinyDecoder);
  StepShape shape;
  shape.add_sequence(0, 1, 0);
  CHECK_THROWS_AS(model.route(0, 1), std::logic_error);
  CHECK_THROWS_AS(model.one_expert(0, 0, 1), std::logic_error);
  CHECK_THROWS_AS(model.grouped_experts(0, 1, 1), std::logic_error);
  CHECK_THROWS_AS(model.combine(0, 1), std::logic_error);
  CHECK_THROWS_AS(model.look_ahead(1, 1), std::logic_error);
  CHECK_THROWS_AS(model.look_ahead(-1, 1), std::logic_error);
  CHECK_THROWS_AS(model.attend(2, shape), std::logic_error);
}
