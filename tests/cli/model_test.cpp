// specmoe model import: what it prints, a run with the imported model, and errors.
#include <doctest/doctest.h>

#include "models/moe/model.hpp"
#include "tests/cli/command.hpp"

using namespace specmoe;

namespace {

// DeepSeek's shape, small: latent attention, a dense first block, groups of experts.
const std::string kConfig =
    R"({"model_type": "deepseek_v3", "num_hidden_layers": 3, "hidden_size": 256, "vocab_size": 1000,
  "num_attention_heads": 4, "q_lora_rank": 64, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8,
  "v_head_dim": 16, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_group": 4, "topk_group": 2, "n_shared_experts": 1,
  "moe_intermediate_size": 128, "intermediate_size": 512, "first_k_dense_replace": 1, "torch_dtype": "bfloat16"})";

// Qwen3-Next's: three layers of gated DeltaNet, one of attention.
const std::string kHybrid =
    R"({"model_type": "qwen3_next", "num_hidden_layers": 4, "hidden_size": 256, "vocab_size": 1000,
  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
  "linear_key_head_dim": 32, "linear_value_head_dim": 32, "linear_conv_kernel_dim": 4, "num_experts": 8,
  "num_experts_per_tok": 2, "moe_intermediate_size": 128, "shared_expert_intermediate_size": 128})";
}  // namespace

TEST_CASE("specmoe model import: prints a specification, or writes it and says what it is") {
  const TemporaryFolder folder;
  folder.write("config.json", kConfig);
  const CommandResult printed = specmoe_command(folder, "model import config.json --name small");
  CHECK(printed.status == 0);
  CHECK(printed.err.empty());
  const MoeModel model = MoeModel::read(Yaml::parse(printed.out, "out.yaml"));
  CHECK(model.name == "small");
  CHECK(model.attention.cached() == 40);
  const CommandResult written =
      specmoe_command(folder, "model import config.json --name small --out small.yaml");
  CHECK(written.status == 0);
  CHECK(written.out.find("small.yaml: small, 0.00 B parameters") == 0);
  CHECK(read_text(folder / "small.yaml") == printed.out);
}

TEST_CASE(
    "specmoe model import: scenarios run imported models, with latent attention and with recurrent layers") {
  for (const std::string& config : {kConfig, kHybrid}) {
    const TemporaryFolder folder;
    folder.write("config.json", config);
    REQUIRE(specmoe_command(folder, "model import config.json --out m.yaml").status == 0);
    folder.write("scenario.yaml", R"(name: imported
seed: 1
platform: rtx4090
model: m.yaml
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0}
workload: {requests: 1, batch: 1, prompt_tokens: 8, output_tokens: 4}
placement: {experts: dram}
cache: {capacity: 1 MB, eviction: lru}
)");
    const CommandResult result = specmoe_command(folder, "run scenario.yaml --out results");
    CAPTURE(result.err);
    CHECK(result.status == 0);
    CHECK(result.out.find("tok/s") != std::string::npos);
  }
}

TEST_CASE("specmoe model import: what cannot be imported is one line and exit status 2") {
  const TemporaryFolder folder;
  const auto says = [&](const std::string& arguments) {
    const CommandResult result = specmoe_command(folder, "model import " + arguments);
    CHECK(result.status == 2);
    CHECK(result.out.empty());
    return result.err;
  };
  folder.write("config.json", kConfig);
  folder.write("x.json", "none");
  folder.write("dense.json", R"({"model_type": "llama", "num_hidden_layers": 2})");
  folder.write("x.gguf", std::string("GGUF\1\0\0\0", 8));
  CHECK(says("absent.json") == "absent.json: cannot be read; expected a config.json or a GGUF file\n");
  CHECK(says(".") == ".: cannot be read; expected a config.json or a GGUF file\n");
  CHECK(says("x.json") == "x.json:1: is not JSON; expected a config.json of Hugging Face transformers\n");
  CHECK(
      says("dense.json")
          .find("dense.json: a dense model (llama), without experts; expected a Mixture-of-Experts model") ==
      0);
  CHECK(says("x.gguf") == "x.gguf: GGUF version 1; expected version 2 or 3, little-endian\n");
  CHECK(says("config.json --out no/where.yaml") ==
        "no/where.yaml: cannot be written; expected a file in a folder that is there\n");
}
