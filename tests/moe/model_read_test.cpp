#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include "sim/base/input_error.hpp"
#include "tests/moe/tiny_model.hpp"

using namespace specmoe;

namespace {

// The complaint about the tiny decoder with one text in it replaced; "accepted" if there is none.
std::string complaint(const std::string& from, const std::string& to) {
  std::string text = kTinyDecoder;
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  try {
    tiny(text.replace(at, from.size(), to));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("specifications: moe_layers are all, a list, or a first one and a step") {
  const auto moe_blocks = [](const std::string& moe_layers) {
    std::string text = kTinyEncoderDecoder;
    const std::string from = "decoder: {layers: 2, moe_layers: [1]}";
    text.replace(text.find(from), from.size(), "decoder: {layers: 4, moe_layers: " + moe_layers + "}");
    std::string layers;
    for (const Block& block : tiny(text).blocks) layers += fmt::format("{} ", block.moe_layer);
    return layers;
  };
  // MoE layers are counted over the encoder (here blocks 0 and 1) and the decoder
  CHECK(moe_blocks("all") == "-1 0 1 2 3 4 ");
  CHECK(moe_blocks("[0, 3]") == "-1 0 1 -1 -1 2 ");
  CHECK(moe_blocks("{first: 1, step: 2}") == "-1 0 -1 1 -1 2 ");
}

TEST_CASE("specifications: decoder blocks behind an encoder have cross-attention, windows go by layer") {
  const MoeModel t5 = tiny(kTinyEncoderDecoder);
  CHECK(t5.encoder_decoder());
  CHECK_FALSE(t5.blocks.at(1).cross_attention);
  CHECK(t5.blocks.at(2).cross_attention);
  const MoeModel decoder = tiny(kTinyDecoder);
  CHECK_FALSE(decoder.encoder_decoder());
  CHECK_FALSE(decoder.blocks.at(0).cross_attention);
  CHECK(decoder.blocks.at(0).windowed);
  CHECK_FALSE(decoder.blocks.at(1).windowed);
}

TEST_CASE("specifications: the real ones have the real structure") {
  const MoeModel switch_base = MoeModel::load("switch-base-128");
  CHECK(switch_base.blocks.size() == 24);
  CHECK(switch_base.blocks.at(1).moe_layer == 0);
  CHECK(switch_base.blocks.at(11).moe_layer == 5);
  CHECK(switch_base.blocks.at(13).moe_layer == 6);
  CHECK(switch_base.blocks.at(13).cross_attention);
  const MoeModel deepseek = MoeModel::load("deepseek-moe-16b");
  CHECK(deepseek.blocks.at(0).moe_layer == -1);
  CHECK(deepseek.blocks.at(27).moe_layer == 26);
  const MoeModel gpt_oss = MoeModel::load("gpt-oss-20b");
  CHECK(gpt_oss.attention.window == 128);
  CHECK(gpt_oss.blocks.at(0).windowed);
  CHECK_FALSE(gpt_oss.blocks.at(23).windowed);
  CHECK(gpt_oss.expert_format == WeightFormat::mxfp4);
  CHECK(gpt_oss.format == WeightFormat::bf16);
}

TEST_CASE("specifications: every fault is one line that names file, line, value and what was expected") {
  CHECK(complaint("hidden: 4", "hidden: 4") == "accepted");
  CHECK(complaint("top_k: 2", "top_k: 5") ==
        "tiny.yaml:17: experts.top_k: \"5\"; expected a whole number from 1 to 4");
  CHECK(complaint("kv_heads: 1", "kv_heads: 3") ==
        "tiny.yaml:10: attention.kv_heads: \"3\"; expected a whole number from 1 to 2");
  CHECK(complaint("heads: 2\n  kv_heads: 1", "heads: 3\n  kv_heads: 2") ==
        "tiny.yaml:10: attention.kv_heads: \"2\"; expected a divisor of heads (3)");
  CHECK(complaint("moe_layers: [1]", "moe_layers: [2]") ==
        "tiny.yaml:7: decoder.moe_layers[0]: \"2\"; expected a whole number from 0 to 1");
  CHECK(complaint("moe_layers: [1]", "moe_layers: [1, 1]") ==
        "tiny.yaml:7: decoder.moe_layers[1]: \"1\"; expected each layer once");
  CHECK(complaint("moe_layers: [1]", "moe_layers: some") ==
        "tiny.yaml:7: decoder.moe_layers: \"some\"; expected all, a list of layers, or {first: 1, step: 2}");
  CHECK(complaint("moe_layers: [1]", "moe_layers: []") ==
        "tiny.yaml:7: decoder.moe_layers: a list; expected all, a list of layers, or {first: 1, step: 2}");
  CHECK(complaint("moe_layers: [1]", "moe_layers: {first: 1, step: 0}") ==
        "tiny.yaml:7: decoder.moe_layers.step: \"0\"; expected a whole number from 1 to 2");
  CHECK(complaint("moe_layers: [1]", "moe_layers: all") ==
        "tiny.yaml:19: dense: a map; expected no dense feed-forward, since every layer has experts");
  CHECK(complaint("dense: {intermediate: 6, gated: true}\n", "") ==
        "tiny.yaml:1: dense: missing; expected this key");
  CHECK(complaint("hidden: 4", "hidden: -4") ==
        "tiny.yaml:3: hidden: \"-4\"; expected a whole number from 1 to 65536");
  CHECK(complaint("hidden: 4", "hidden: 4.5") ==
        "tiny.yaml:3: hidden: \"4.5\"; expected a whole number from 1 to 65536");
  CHECK(complaint("intermediate: 3", "intermediate: 9999999") ==
        "tiny.yaml:17: experts.intermediate: \"9999999\"; expected a whole number from 1 to 1048576");
  CHECK(complaint("layers: 2", "layers: 0") ==
        "tiny.yaml:7: decoder.layers: \"0\"; expected a whole number from 1 to 1024");
  CHECK(complaint("positions: 3", "positions: 0") ==
        "tiny.yaml:16: attention.window.positions: \"0\"; expected a whole number from 1 to 16777216");
  CHECK(complaint("format: bf16", "format: mxfp") ==
        "tiny.yaml:6: format: \"mxfp\"; expected one of fp32, bf16, fp8, int8, int4, mxfp4, int3, int2 (did "
        "you mean "
        "\"mxfp4\"?)");
  CHECK(complaint("routed: 4", "routd: 4") ==
        "tiny.yaml:17: experts.routd: unknown key; expected \"routed\"");
  CHECK(complaint("hidden: 4", "hidden: 4\nhidden: 4").find("tiny.yaml:4: duplicate key \"hidden\"") == 0);
  CHECK(complaint("tied_embeddings: false", "tied_embeddings: no") ==
        "tiny.yaml:5: tied_embeddings: \"no\"; expected true or false");
  CHECK(complaint("source: made up\n", "") == "tiny.yaml:1: source: missing; expected this key");
}

TEST_CASE("specifications: a published active count needs its convention and is at most the total") {
  const std::string from = "total_billion: 1,";
  CHECK(complaint(from, "total_billion: 1, active_billion: 0.5, active_convention: all,") == "accepted");
  CHECK(complaint(from, "total_billion: 1, active_billion: 0.5,") ==
        "tiny.yaml:20: published.active_convention: missing; expected this key");
  CHECK(complaint(from, "total_billion: 1, active_billion: 2, active_convention: all,") ==
        "tiny.yaml:20: published.active_billion: \"2\"; expected a number from 1e-06 to 1");
  CHECK(complaint(from, "total_billion: 1, active_billion: 0.5, active_convention: al,")
            .find("tiny.yaml:20: published.active_convention: \"al\"; expected one of all,") == 0);
}

TEST_CASE("models: an unknown name is answered with the known ones") {
  const std::string expected = fmt::format(
      "mixtral-8x7: no such model; expected a .yaml file or one of {} (did you mean \"mixtral-8x7b\"?)",
      fmt::join(model_names(), ", "));
  CHECK_THROWS_WITH_AS(MoeModel::load("mixtral-8x7"), expected.c_str(), InputError);
  CHECK_THROWS_WITH_AS(MoeModel::load("absent.yaml"), "absent.yaml: cannot be read; expected a YAML file",
                       InputError);
}
