// How a config.json says that weights are stored.
#include <fmt/format.h>

#include <algorithm>

#include "models/moe/import/config_parts.hpp"

namespace specmoe {

namespace {

WeightFormat of_bits(const Config& config, std::int64_t bits) {
  switch (bits) {
    case 2:
      return WeightFormat::int2;
    case 3:
      return WeightFormat::int3;
    case 4:
      return WeightFormat::int4;
    case 8:
      return WeightFormat::int8;
    default:
      config.fail({"bits", "num_bits"}, "2, 3, 4 or 8 bits");
  }
}

WeightFormat of_compressed_tensors(const Config& quantization) {
  const auto groups = quantization.object("config_groups");
  const auto group = groups ? groups->object("group_0") : std::nullopt;
  const auto weights = group ? group->object("weights") : std::nullopt;
  if (!weights) quantization.fail_missing({"config_groups.group_0.weights"});
  const std::int64_t bits = weights->integer({"num_bits"}, 1, 16);
  if (weights->text({"type"}).value_or("int") != "float") return of_bits(*weights, bits);
  if (bits == 8) return WeightFormat::fp8;
  if (bits == 4) return WeightFormat::mxfp4;
  weights->fail({"num_bits"}, "4 or 8 bits of a float");
}

/// What `quant_method` stores weights in. NVFP4 has a scale for 16 weights where MXFP4 has one for 32.
WeightFormat of_method(ConfigImport& in, const Config& quantization, const std::string& method) {
  const auto nvfp4 = [&] {
    in.unverified.push_back("NVFP4 stores 4.5 bits a weight; taken for MXFP4 with 4.25");
    return WeightFormat::mxfp4;
  };
  if (method == "fp8" || method == "fbgemm_fp8") return WeightFormat::fp8;
  if (method == "mxfp4") return WeightFormat::mxfp4;
  if (method == "compressed-tensors") {
    if (quantization.text({"format"}).value_or("").starts_with("nvfp4")) return nvfp4();
    return of_compressed_tensors(quantization);
  }
  if (method == "modelopt" || method == "modelopt_fp4") {
    const std::string algorithm =
        quantization.text({"quant_algo"}).value_or(method == "modelopt" ? "" : "NVFP4");
    if (algorithm == "NVFP4") return nvfp4();
    if (algorithm == "FP8") return WeightFormat::fp8;
    quantization.fail({"quant_algo"}, "NVFP4 or FP8");
  }
  if (method == "bitsandbytes")
    return quantization.flag({"load_in_4bit"}, false) ? WeightFormat::int4 : WeightFormat::int8;
  if (method == "gptq" || method == "awq" || method == "auto-round" || method == "mlx")
    return of_bits(quantization, quantization.integer({"bits"}, 1, 16));
  quantization.fail(
      {"quant_method"},
      "fp8, fbgemm_fp8, mxfp4, compressed-tensors, modelopt, bitsandbytes, gptq, awq or auto-round");
}

/// Whether layers beside the routed experts are named among those that stay as they are.
bool leaves_attention(const Config& quantization) {
  const auto ignored = quantization.is_list({"ignore", "modules_to_not_convert"})
                           ? quantization.texts({"ignore", "modules_to_not_convert"})
                           : std::nullopt;
  return ignored && std::any_of(ignored->begin(), ignored->end(), [](const std::string& name) {
           return name.find("attn") != std::string::npos;
         });
}

}  // namespace

void import_formats(ConfigImport& in) {
  const auto dtype_in = [](const Config& config) { return config.text({"torch_dtype", "dtype"}); };
  std::string dtype = dtype_in(in.config).value_or(dtype_in(in.top).value_or(""));
  if (dtype.starts_with("torch.")) dtype = dtype.substr(6);
  if (dtype.empty()) in.notes.push_back("no dtype is given; bf16 is assumed");
  if (!dtype.empty() && dtype != "float32" && dtype != "bfloat16" && dtype != "float16")
    (dtype_in(in.config) ? in.config : in.top).fail({"torch_dtype", "dtype"}, "bfloat16, float16 or float32");
  MoeModel& m = in.model;
  m.format = m.expert_format = m.embedding_format =
      dtype == "float32" ? WeightFormat::fp32 : WeightFormat::bf16;

  std::string method;
  auto quantization = in.config.object("quantization_config");
  if (!quantization) quantization = in.top.object("quantization_config");
  if (quantization) {
    method = quantization->text({"quant_method"}).value_or("");
  } else if ((quantization = in.top.object("quantization"))) {
    method = "mlx";
  }
  if (quantization) {
    m.expert_format = of_method(in, *quantization, method);
    // gpt-oss quantizes its experts alone.
    if (method != "mxfp4" && !leaves_attention(*quantization)) m.format = m.expert_format;
  }
  if (const auto experts = in.config.text({"expert_dtype"})) {
    if (*experts == "fp4" || *experts == "mxfp4")
      m.expert_format = WeightFormat::mxfp4;
    else if (*experts == "fp8")
      m.expert_format = WeightFormat::fp8;
    else if (*experts != "bfloat16" && *experts != "bf16")
      in.config.fail({"expert_dtype"}, "fp4, mxfp4, fp8 or bf16");
  }
}

}  // namespace specmoe
