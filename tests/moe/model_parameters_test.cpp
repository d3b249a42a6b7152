#include <doctest/doctest.h>

#include <cmath>

#include "tests/moe/tiny_model.hpp"

using namespace specmoe;

namespace {

// Published counts in billions, with the unit of their last printed digit.
struct Published {
  const char* name;
  double total, total_unit;
  double active, active_unit;
  std::int64_t layers, experts, top_k, expert_bytes;  // bytes of one routed expert in its native format
};
constexpr Published kPublished[] = {
    // 3 x 7168 x 4864 x 2 B
    {"arctic", 480, 1, 17, 1, 35, 128, 2, 209'190'912},
    // 3 x 2048 x 1408 x 2 B
    {"deepseek-moe-16b", 16.4, 0.1, 2.8, 0.1, 27, 64, 6, 17'301'504},
    // 3 x 5120 x 1536 x 2 B
    {"deepseek-v2", 236, 1, 21, 1, 59, 160, 6, 47'185'920},
    {"deepseek-v2-lite", 15.7, 0.1, 2.4, 0.1, 26, 64, 6, 17'301'504},
    // 3 x 7168 x 2048 = 44,040,192 B in fp8, and 4 B a block of 16,384: 10,752 B
    {"deepseek-v3", 671, 1, 37, 1, 58, 256, 8, 44'040'192 + 10'752},
    // 2 x 8192 x 32768 x 2 B
    {"glam-64b-64e", 1200, 100, 96.6, 0.1, 32, 64, 2, 1'073'741'824},
    // 3 x 5120 x 1536 x 2 B
    {"glm-4.5", 355, 1, 32, 1, 89, 160, 8, 47'185'920},
    // 3 x 4096 x 1408 x 2 B
    {"glm-4.5-air", 106, 1, 12, 1, 45, 128, 8, 34'603'008},
    // 3 x 2880 x 2880 x 4.25 bit = 13,219,200 B, and biases (2 x 2880 + 2880) x 2 B = 17,280 B
    {"gpt-oss-120b", 116.8, 0.1, 5.1, 0.1, 36, 128, 4, 13'219'200 + 17'280},
    {"gpt-oss-20b", 20.9, 0.1, 3.6, 0.1, 24, 32, 4, 13'219'200 + 17'280},
    // 3 x 1024 x 512 x 2 B
    {"granite-3.x-1b-a400m", 1.3, 0.1, 0.4, 0.1, 24, 32, 8, 3'145'728},
    // 3 x 1536 x 512 x 2 B
    {"granite-3.x-3b-a800m", 3.3, 0.1, 0.8, 0.1, 32, 40, 8, 4'718'592},
    // as DeepSeek-V3
    {"kimi-k2", 1000, 1000, 32, 1, 60, 384, 8, 44'040'192 + 10'752},
    // 3 x 5120 x 8192 x 2 B
    {"llama4-maverick", 400, 1, 17, 1, 24, 128, 1, 251'658'240},
    {"llama4-scout", 109, 1, 17, 1, 48, 16, 1, 251'658'240},
    // 3 x 3072 x 1536 = 14,155,776 B in fp8, and 4 B a block of 16,384: 3,456 B
    {"minimax-m2", 229, 1, 10, 1, 62, 256, 8, 14'155'776 + 3'456},
    // 3 x 6144 x 16384 x 2 B
    {"mixtral-8x22b", 141, 1, 39, 1, 56, 8, 2, 603'979'776},
    // 3 x 4096 x 14336 x 2 B
    {"mixtral-8x7b", 46.7, 0.1, 12.9, 0.1, 32, 8, 2, 352'321'536},
    // 2 x 2048 x 8192 x 2 B, and biases (8192 + 2048) x 2 B
    {"nllb-moe-54b", 54.5, 0.1, 0, 0, 12, 128, 2, 67'108'864 + 20'480},
    // 3 x 2048 x 1024 x 2 B
    {"olmoe-1b-7b", 6.9, 0.1, 1.3, 0.1, 16, 64, 8, 12'582'912},
    // 3 x 4096 x 6400 x 2 B
    {"phi-3.5-moe", 41.9, 0.1, 6.6, 0.1, 32, 16, 2, 157'286'400},
    // 3 x 2048 x 1408 x 2 B
    {"qwen1.5-moe-a2.7b", 14.3, 0.1, 2.7, 0.1, 24, 60, 4, 17'301'504},
    // 3 x 3584 x 2560 x 2 B
    {"qwen2-57b-a14b", 57.4, 0.1, 14.2, 0.1, 28, 64, 8, 55'050'240},
    // 3 x 4096 x 1536 x 2 B
    {"qwen3-235b-a22b", 235, 1, 22, 1, 94, 128, 8, 37'748'736},
    // 3 x 2048 x 768 x 2 B
    {"qwen3-30b-a3b", 30.5, 0.1, 3.3, 0.1, 48, 128, 8, 9'437'184},
    // 3 x 6144 x 2560 x 2 B
    {"qwen3-coder-480b-a35b", 480, 1, 35, 1, 62, 160, 8, 94'371'840},
    // 3 x 2048 x 512 x 2 B
    {"qwen3-next-80b-a3b", 80, 1, 3, 1, 48, 512, 10, 6'291'456},
    // 2 x 768 x 3072 x 2 B
    {"switch-base-128", 7.4, 0.1, 0, 0, 12, 128, 1, 9'437'184},
    {"switch-base-256", 0, 0, 0, 0, 12, 256, 1, 9'437'184},
    {"switch-base-32", 0, 0, 0, 0, 12, 32, 1, 9'437'184},
    {"switch-base-64", 0, 0, 0, 0, 12, 64, 1, 9'437'184},
    {"switch-base-8", 0, 0, 0, 0, 12, 8, 1, 9'437'184},
    // 2 x 2080 x 6144 x 2 B
    {"switch-c-2048", 1571, 1, 0, 0, 30, 2048, 1, 51'118'080},
    // 2 x 1024 x 4096 x 2 B
    {"switch-large-128", 26.3, 0.1, 0, 0, 24, 128, 1, 16'777'216},
    // 3 x 4096 x 10240 x 2 B
    {"switch-xxl-128", 395, 1, 0, 0, 24, 128, 1, 251'658'240},
};

// Within 1 %; or, since a figure of two digits may be further off than that, the same digits.
bool agrees(double computed, double published, double unit) {
  const double billions = computed / 1e9;
  const double digits = std::round(published / unit);
  return std::abs(billions / published - 1) <= 0.01 || std::round(billions / unit) == digits;
}

double active_as_published(const MoeModel& model) {
  const Parameters p = model.parameters();
  if (model.published_active_convention == "without_input_embedding") return p.active_without_input_embedding;
  if (model.published_active_convention == "without_embeddings") return p.active_without_embeddings;
  return p.active;
}

}  // namespace

TEST_CASE(
    "models: total and active parameters of every specification are the published ones, within 1 % or to the "
    "digit") {
  std::vector<std::string> names;
  for (const Published& published : kPublished) {
    CAPTURE(published.name);
    names.push_back(published.name);
    const MoeModel model = MoeModel::load(published.name);
    CHECK(model.name == published.name);
    CHECK(model.published_total == doctest::Approx(published.total * 1e9));
    CHECK(model.published_active == doctest::Approx(published.active * 1e9));
    // Published with its vision tower, which is no part of this: 34 x (4 x 1408^2 + 2 x 1408 x 5632) = 0.81e9.
    const double tower = model.name == "llama4-scout" ? 0.81e9 : 0;
    if (published.total > 0)
      CHECK(agrees(model.parameters().total + tower, published.total, published.total_unit));
    if (published.active == 0) continue;
    // 3.353e9 and 2.451e9, of which Qwen prints 3.3 and DeepSeek 2.4: cut off where the others round.
    const double cut = model.name == "qwen3-30b-a3b" || model.name == "deepseek-v2-lite" ? 0.05e9 : 0;
    CHECK(agrees(active_as_published(model) - cut, published.active, published.active_unit));
  }
  CHECK(names == model_names());
}

TEST_CASE(
    "models: Switch-Base of other sizes, of which no count was published, differs by its experts and their "
    "routers") {
  const double base = MoeModel::load("switch-base-128").parameters().total;
  for (const std::int64_t experts : {8, 32, 64, 256}) {
    const MoeModel model = MoeModel::load(fmt::format("switch-base-{}", experts));
    // 12 sparse layers; an expert has 2 x 768 x 3072 parameters and a column of 768 in the router
    CHECK(model.parameters().total - base == 12.0 * static_cast<double>(experts - 128) * (4'718'592 + 768));
  }
}

TEST_CASE("models: parameters are exact to the last one where a hand sum gives it") {
  // Mixtral, a block: attention 4096 x (4096 + 2 x 1024) + 4096^2 = 41,943,040; two norms 8,192; router
  // 32,768; experts 8 x 176,160,768. 32 blocks, two embeddings 2 x 131,072,000, the final norm 4,096.
  const MoeModel mixtral = MoeModel::load("mixtral-8x7b");
  CHECK(mixtral.parameters().total ==
        32.0 * (41'943'040 + 8'192 + 32'768 + 8 * 176'160'768.0) + 2 * 131'072'000.0 + 4'096);
  CHECK(mixtral.parameters().active ==
        32.0 * (41'943'040 + 8'192 + 32'768 + 2 * 176'160'768.0) + 2 * 131'072'000.0 + 4'096);
  // gpt-oss, a block: QKV 2880 x 5120 + 5120, output 4096 x 2880 + 2880, sinks 64, norms 2 x 2880, router
  // 2880 x 32 + 32, experts 32 x (24,883,200 + 8,640). 24 blocks, embeddings 2 x 201,088 x 2880, norm 2880.
  const MoeModel gpt_oss = MoeModel::load("gpt-oss-20b");
  CHECK(gpt_oss.parameters().total ==
        24.0 * (14'745'600 + 5'120 + 11'796'480 + 2'880 + 64 + 5'760 + 92'160 + 32 + 32 * 24'891'840.0) +
            2 * 579'133'440.0 + 2'880);
}

TEST_CASE("models: layers, experts and bytes of an expert are the known ones") {
  for (const Published& published : kPublished) {
    CAPTURE(published.name);
    const MoeModel model = MoeModel::load(published.name);
    CHECK(model.moe_layers == published.layers);
    CHECK(model.experts == published.experts);
    CHECK(model.top_k == published.top_k);
    CHECK(model.expert_bytes().count == published.expert_bytes);
    CHECK_FALSE(model.source.empty());
  }
  CHECK(MoeModel::load("glam-64b-64e").unverified.find("from memory") != std::string::npos);
}

TEST_CASE("models: weights stored are the resident ones and all experts") {
  // bf16 throughout: two bytes a parameter
  const MoeModel model = MoeModel::load("mixtral-8x7b");
  const Bytes stored = model.resident_bytes() + model.expert_bytes() * model.experts * model.moe_layers;
  CHECK(static_cast<double>(stored.count) == 2 * model.parameters().total);
}

TEST_CASE("models: a tiny decoder's parameters by hand") {
  const MoeModel model = tiny(kTinyDecoder);
  // attention 4 x (4 + 2 + 2) + 4 x 4 = 48, biases 8 + 4, qk norms 2 x 2, sinks 2, two norms 8: 74 a block
  // dense 3 x 4 x 6 = 72; router 4 x 4 + 4 = 20; shared 2 x 4 x 5 = 40, its gate 4; embeddings 2 x 40; final
  // norm 4 resident: 148 + 72 + 20 + 44 + 80 + 4 = 368; expert: 3 x 4 x 3 + 6 + 4 = 46
  const Parameters p = model.parameters();
  CHECK(p.total == 368 + 4 * 46);
  CHECK(p.active == 368 + 2 * 46);
  CHECK(p.active_without_input_embedding == 368 + 2 * 46 - 40);
  CHECK(p.active_without_embeddings == 368 + 2 * 46 - 80);
  CHECK(model.resident_bytes().count == 2 * 368);
  CHECK(model.expert_bytes().count == 2 * 46);
}

TEST_CASE("models: a tiny encoder-decoder's parameters by hand") {
  const MoeModel model = tiny(kTinyEncoderDecoder);
  // attention 4 x 12 + 4 x 4 = 64 and its norm 4; a block of the encoder 68 + 4, of the decoder 2 x 68 + 4
  // dense 2 x (2 x 4 x 6) = 96; routers 2 x 16; final norms 2 x 4; relative positions 2 x (8 x 2); embedding
  // 40 resident: 144 + 280 + 96 + 32 + 8 + 32 + 40 = 632; expert: 2 x 4 x 3 = 24
  const Parameters p = model.parameters();
  CHECK(p.total == 632 + 2 * 4 * 24);
  CHECK(p.active == 632 + 2 * 24);
  CHECK(p.active_without_input_embedding == p.active);  // the LM head uses the table
  CHECK(p.active_without_embeddings == p.active - 40);
}

TEST_CASE("models: matrices take the bits of their format, biases and norms stay bf16") {
  const MoeModel model = tiny(kTinyDecoder);
  // 36 weights and 10 biases: 36 x 8.125 bit = 36.6 B, 36 x 4.25 bit = 19.1 B, rounded up; 20 B
  CHECK(model.with_expert_format(WeightFormat::int8).expert_bytes().count == 37 + 20);
  CHECK(model.with_expert_format(WeightFormat::mxfp4).expert_bytes().count == 20 + 20);
  CHECK(model.with_expert_format(WeightFormat::mxfp4).resident_bytes() == model.resident_bytes());
  std::string text = kTinyDecoder;
  text.replace(text.find("bf16"), 4, "int4");
  // vectors: 2 x 26 + router bias 4 + final norm 4 = 60, so 308 in matrices: 308 x 4.25 bit = 163.6 B
  CHECK(tiny(text).resident_bytes().count == 164 + 120);
  CHECK(tiny(text).expert_bytes().count == 20 + 20);  // the experts' format is the model's unless said
}

TEST_CASE("models: keys and values are kept to the window in windowed layers") {
  const MoeModel model = tiny(kTinyDecoder);
  StepShape shape;
  shape.add_sequence(4, 1, model.attention.window);
  // 2 x 1 head x 2 x 2 B = 8 B a position; block 0 keeps 3 positions, block 1 all 5
  CHECK(model.kv_bytes(shape).count == 8 * (3 + 5));
}

TEST_CASE(
    "models: cross-attention keeps keys and values of the encoder's positions, the encoder keeps none") {
  StepShape shape;
  shape.add_sequence(4, 1, 0);
  shape.encoder_positions = 7;
  // 2 x 2 heads x 2 x 2 B = 16 B a position; two decoder blocks of 5 + 7 positions
  CHECK(tiny(kTinyEncoderDecoder).kv_bytes(shape).count == 16 * 2 * (5 + 7));
}

TEST_CASE("models: activations are those of the widest layer, the residual stream and the logits") {
  // a token: stream and norm 2 x 4; router logits 4, two experts of 2 x 4 + 3 x 3, the shared one 2 x 4 + 2 x
  // 5: 56 (attention 12 and dense 26 are narrower); a sequence: 10 logits. Two tokens: 2 x (8 + 56) + 10 =
  // 138 values
  CHECK(tiny(kTinyDecoder).activation_bytes(2, 1).count == 2 * 138);
}

TEST_CASE("step shape: without a window every query sees all positions up to its own") {
  StepShape shape;
  shape.add_sequence(4, 2, 0);  // positions 4 and 5 see 5 + 6
  shape.add_sequence(0, 3, 0);  // 1 + 2 + 3
  CHECK(shape.sequences == 2);
  CHECK(shape.tokens == 5);
  CHECK(shape.kv_positions == 6 + 3);
  CHECK(shape.pairs == 11 + 6);
  CHECK(shape.windowed_kv_positions == shape.kv_positions);
  CHECK(shape.windowed_pairs == shape.pairs);
  CHECK(shape.windowed_reads == shape.kv_positions);
}

TEST_CASE("step shape: a window cuts what is kept, what is read and the pairs") {
  const auto cut = [](std::int64_t context, std::int64_t tokens) {
    StepShape s;
    s.add_sequence(context, tokens, 3);
    return fmt::format("kept {} read {} pairs {} of {}", s.windowed_kv_positions, s.windowed_reads,
                       s.windowed_pairs, s.pairs);
  };
  CHECK(cut(10, 1) == "kept 3 read 3 pairs 3 of 11");
  CHECK(cut(1, 1) == "kept 2 read 2 pairs 2 of 2");
  CHECK(cut(0, 4) == "kept 3 read 4 pairs 9 of 10");  // 1 + 2 + 3 + 3
  CHECK(cut(1, 3) == "kept 3 read 4 pairs 8 of 9");   // 2 + 3 + 3
  CHECK(cut(4, 2) == "kept 3 read 4 pairs 6 of 11");  // positions 4 and 5 read 2 .. 5
}

TEST_CASE("step shape: in an encoder every position sees every other") {
  StepShape shape;
  shape.add_encoder_sequence(3);
  shape.add_encoder_sequence(5);
  CHECK(shape.sequences == 2);
  CHECK(shape.tokens == 8);
  CHECK(shape.kv_positions == 8);
  CHECK(shape.pairs == 9 + 25);
}
