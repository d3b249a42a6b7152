// Latent attention, recurrent layers, windows with heads of their own, groups of experts.
#include <doctest/doctest.h>

#include "sim/base/input_error.hpp"
#include "tests/moe/tiny_model.hpp"

using namespace specmoe;

namespace {

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

// A decoder of four blocks: the first dense; attention, window and experts come from the test.
std::string decoder(const std::string& attention, const std::string& more = "") {
  return "name: tiny\nsource: made up\nhidden: 4\nvocabulary: 10\ntied_embeddings: false\nformat: bf16\n"
         "decoder: {layers: 4, moe_layers: {first: 1, step: 1}}\nattention: " +
         attention + "\nexperts: {routed: 8, top_k: 2, intermediate: 3, gated: true}\n" +
         "dense: {intermediate: 6, gated: true}\n" + more;
}

const std::string kLatent =
    decoder("{heads: 2, latent: {q_lora: 3, kv_lora: 2, nope: 1, rope: 1, value: 2}}");
const std::string kRecurrent =
    decoder("{heads: 2, kv_heads: 1, head_dim: 2}",
            "recurrent: {layers: [0, 1, 2], in: 9, out: 5, state: 7, other: 11}\n");

std::string complaint(const std::string& text) {
  try {
    tiny(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("latent attention: parameters by hand, with a compressed query and without") {
  // a block: query 4 x 3 + 3 x (2 x 2) = 24, latent and rotary key 4 x 3 = 12, keys and values 2 x (2 x 3) = 12, output
  // 4 x 4 = 16: 64; norms of the query 3, of the latent 2 and two of 4: 13. Routers 3 x 32, experts 24 x 36, dense 72;
  // embeddings 80, last norm 4.
  CHECK(tiny(kLatent).parameters().total == 4 * (64 + 13) + 96 + 24 * 36 + 72 + 80 + 4);
  // query 4 x 4 = 16 in place of 24, and no norm of 3
  CHECK(tiny(with(kLatent, "q_lora: 3, ", "")).parameters().total ==
        4 * (56 + 10) + 96 + 24 * 36 + 72 + 80 + 4);
}

TEST_CASE("latent attention: one query a sequence is absorbed into the latent space") {
  StepShape shape;
  shape.add_sequence(4, 1, 0);
  shape.add_sequence(4, 1, 0);
  const MoeModel model = tiny(kLatent);
  const std::vector<Kernel> kernels = model.attend(1, shape);
  CHECK(describe(kernels) ==
        "norm: [2,4] r1 w1\n"
        "latents: [2,4]x[4,6]\n"  // query 3, latent 2, rotary key 1
        "latent_norm: [2,5] r1 w1\n"
        "query: [2,3]x[3,4]\n"
        "rotary: [2,3] r1 w1\n"  // of two queries and a key
        "absorb_query: [4,1]x2[1,2]\n"
        "attention: q2 kv10 pairs10\n"
        "absorb_value: [4,2]x2[2,2]\n"
        "output: [2,4]x[4,4]\n"
        "residual_norm: [2,4] r2 w2\n");
  // 10 positions of 3 elements, which hold the values too; queries of 3 and outputs of 2 for 2 x 2 heads: 50 x 2 B
  CHECK(memory_traffic(kernels.at(6)).count == 100);
  CHECK(flops(kernels.at(6)).value == 2 * 10 * 2 * (3 + 2));
  // 3 elements of 2 B a position and block
  CHECK(model.kv_bytes(shape).count == 4 * 10 * 3 * 2);
}

TEST_CASE("latent attention: more queries attend to keys and values decompressed from all positions") {
  StepShape shape;
  shape.add_sequence(2, 3, 0);
  const std::vector<Kernel> kernels = tiny(kLatent).attend(1, shape);
  CHECK(describe({kernels.begin() + 5, kernels.begin() + 7}) ==
        "key_value: [5,2]x[2,6]\n"       // two heads of a key of 1 and a value of 2
        "attention: q3 kv5 pairs12\n");  // 3 + 4 + 5
  // 5 positions x 2 heads x (2 + 2), queries and outputs 3 x 2 x (2 + 2): 64 x 2 B
  CHECK(memory_traffic(kernels.at(6)).count == 128);
}

TEST_CASE("kernels: attention whose values are as wide as its keys costs what it did") {
  const Attention plain{1, 1, 100, 100, 8, 2, 64};
  Attention said = plain;
  said.value_dim = 64;
  CHECK(memory_traffic({plain}).count == memory_traffic({said}).count);
  CHECK(flops({plain}).value == flops({said}).value);
  // 2 x 100 x 2 x 64 of keys and values, 2 x 8 x 64 of query and output, 2 B each
  CHECK(memory_traffic({plain}).count == 2 * (2 * 100 * 2 * 64 + 2 * 8 * 64));
}

TEST_CASE("recurrent layers: parameters, kernels and a state that does not grow") {
  const MoeModel model = tiny(kRecurrent);
  // recurrent: 4 x (9 + 5) + 11 = 67; attention: 4 x (4 + 2 + 2) + 16 = 48; norms 4 x 8; rest as above
  CHECK(model.parameters().total == 3 * 67 + 48 + 32 + 96 + 24 * 36 + 72 + 80 + 4);
  StepShape shape;
  shape.add_sequence(99, 1, 0);
  CHECK(describe(model.attend(1, shape)) ==
        "norm: [1,4] r1 w1\n"
        "mixer_in: [1,4]x[4,9]\n"
        "convolution: [1,9] r1 w1\n"
        "state_update: [1,7] r2 w2\n"  // float32: two of bf16
        "gated_norm: [1,5] r2 w1\n"
        "output: [1,5]x[5,4]\n"
        "residual_norm: [1,4] r2 w2\n");
  // three states of 7 x 4 B; one layer of attention keeps 100 positions of 4 x 2 B
  CHECK(model.kv_bytes(shape).count == 3 * 28 + 800);
}

TEST_CASE("recurrent layers: a prompt is scanned in chunks of 64, each sequence by itself") {
  StepShape shape;
  shape.add_sequence(0, 130, 0);
  CHECK(describe(tiny(kRecurrent).attend(1, shape).at(3)) == "state_update: [3,7] r2 w2");
}

TEST_CASE("windows: layers may have heads of their own") {
  const MoeModel model = tiny(
      decoder("{heads: 2, kv_heads: 1, head_dim: 2, value_dim: 3, window: {positions: 3, layers: [0, 2], "
              "heads: 4, kv_heads: 2, head_dim: 1}}"));
  StepShape shape;
  shape.add_sequence(9, 1, model.attention.window);
  CHECK(describe(model.attend(0, shape).at(1)) == "qkv: [1,4]x[4,8]");  // 4 + 2 + 2
  CHECK(describe(model.attend(1, shape).at(1)) == "qkv: [1,4]x[4,9]");  // 4 + 2 + 3
  CHECK(describe(model.attend(1, shape).at(4)) == "output: [1,6]x[6,4]");
  // 3 positions of 2 x (1 + 1) in two layers, 10 of 2 + 3 in two
  CHECK(model.kv_bytes(shape).count == 2 * (2 * 3 * 4 + 2 * 10 * 5));
}

TEST_CASE("attention: a gate of the output is one more projection") {
  const MoeModel model = tiny(decoder("{heads: 2, kv_heads: 1, head_dim: 2, output_gate: true}"));
  StepShape shape;
  shape.add_sequence(9, 1, 0);
  CHECK(describe(model.attend(0, shape)) ==
        "norm: [1,4] r1 w1\nqkv: [1,4]x[4,12]\nrotary: [1,6] r1 w1\nattention: q1 kv10 pairs10\n"
        "output_gate: [1,4] r2 w1\noutput: [1,4]x[4,4]\nresidual_norm: [1,4] r2 w2\n");
}

TEST_CASE("routing: the best groups of experts are found in the kernel that finds the experts") {
  const MoeModel model = tiny(with(kLatent, "top_k: 2", "top_k: 2, groups: 4, groups_kept: 3"));
  CHECK(describe(model.route(1, 5)) == "router: [5,4]x[4,8]\ntop_k: [5,8] k5\n");
  CHECK(complaint(with(kLatent, "top_k: 2", "top_k: 2, groups: 3, groups_kept: 3")) ==
        "tiny.yaml:9: experts.groups: \"3\"; expected a divisor of routed (8)");
  CHECK(complaint(with(kLatent, "top_k: 2", "top_k: 5, groups: 4, groups_kept: 2")) ==
        "tiny.yaml:9: experts.groups_kept: \"2\"; expected groups enough for the 5 experts of a token");
}

TEST_CASE("blocks: a mixer alone has no network behind it") {
  const MoeModel model =
      tiny(with(kLatent, "moe_layers: {first: 1, step: 1}", "moe_layers: [1, 3], mixer_only: [2]"));
  CHECK(model.feed_forward(2, 1).empty());
  CHECK(model.moe_layers == 2);
  // one block less of 8 experts, router and the norm of 4 before them
  CHECK(tiny(kLatent).parameters().total - model.parameters().total == 8 * 36 + 32 + 4);
}

TEST_CASE("models: embeddings may be stored in another format, and files may store what formats do not say") {
  // vectors 4 x 13 + 4; matrices 4 x 64 + 96 + 72 = 424 in int8: 430.6 B; embeddings 80 in bf16
  const std::string text = with(kLatent, "format: bf16", "format: int8\nembedding_format: bf16");
  CHECK(tiny(text).resident_bytes().count == 2 * 56 + 431 + 2 * 80);
  const MoeModel stored = tiny(text + "stored: {expert: \"30 B\", resident: \"700 B\"}\n");
  CHECK(stored.expert_bytes().count == 30);
  CHECK(stored.resident_bytes().count == 700);
  CHECK(stored.with_expert_format(WeightFormat::bf16).expert_bytes().count == 72);
  // cut to two blocks, as much of 700 B as they have of 703 B
  const Bytes cut = tiny(text).with_first_blocks(2).resident_bytes();
  CHECK(stored.with_first_blocks(2).resident_bytes().count == cut.count * 700 / 703);
}

TEST_CASE("models: blocks that predict further tokens are counted apart") {
  const MoeModel model = tiny(kLatent + "prediction_blocks: 1\n");
  CHECK(model.parameters().total == tiny(kLatent).parameters().total);
  // a block like the last: 64 + 13 + 32 + 8 x 36; two norms, the projection of 8 to 4, a last norm
  CHECK(model.parameters().prediction == 64 + 13 + 32 + 288 + 3 * 4 + 32);
}

TEST_CASE("specifications: latent and recurrent layers are refused where they mean nothing") {
  CHECK(complaint(with(kLatent, "heads: 2,", "heads: 2, kv_heads: 1,")) ==
        "tiny.yaml:8: attention.kv_heads: \"1\"; expected no such key with latent attention");
  CHECK(complaint(with(kLatent, "value: 2}}", "value: 2}, window: {positions: 3, layers: all}}")) ==
        "tiny.yaml:8: attention.window: a map; expected no window with latent attention");
  CHECK(complaint(with(kRecurrent, "head_dim: 2", "head_dim: 2, window: {positions: 3, layers: [2]}")) ==
        "tiny.yaml:11: recurrent.layers: a list; expected layers without a window, of a model without an "
        "encoder");
  CHECK(complaint(with(kLatent, "step: 1}", "step: 1}, mixer_only: [3]")) ==
        "tiny.yaml:7: decoder.mixer_only: a list; expected layers without experts");
}

TEST_CASE("specifications: what is written is read back as the same model") {
  for (const std::string& name : model_names()) {
    CAPTURE(name);
    const MoeModel model = MoeModel::load(name);
    const std::string text = model.written();
    const MoeModel again = MoeModel::read(Yaml::parse(text, "again.yaml"));
    CHECK(again.written() == text);
    CHECK(again.parameters().total == model.parameters().total);
    CHECK(again.parameters().active == model.parameters().active);
    CHECK(again.parameters().prediction == model.parameters().prediction);
    CHECK(again.resident_bytes() == model.resident_bytes());
    CHECK(again.expert_bytes() == model.expert_bytes());
    StepShape shape;
    shape.add_sequence(1000, 1, model.attention.window);
    CHECK(again.kv_bytes(shape) == model.kv_bytes(shape));
    CHECK(again.unverified == model.unverified);
  }
}

TEST_CASE("specifications: a text that is no plain YAML is written in quotes, on one line") {
  MoeModel model = tiny(kLatent);
  model.name = "1.5: a \"b\" #c\n\x01";
  const MoeModel again = tiny(model.written());
  CHECK(again.name == "1.5: a \"b\" #c??");
}
