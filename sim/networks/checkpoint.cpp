#include "sim/networks/checkpoint.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/unfinished_file.hpp"

namespace specmoe {
namespace {

constexpr const char* kFormat = "specmoe-network";
constexpr std::int64_t kVersion = 1;

}  // namespace

std::string Checkpoint::about() const {
  return nlohmann::json{{"architecture", std::string(architecture->kind.name)},
                        {"layers", shape.layers},
                        {"experts", shape.experts},
                        {"top_k", shape.top_k},
                        {"distances", shape.distances},
                        {"vocabulary", shape.vocabulary},
                        {"hidden", shape.hidden},
                        {"context", context},
                        {"seed", seed},
                        {"trace", trace},
                        {"recording", recording},
                        {"known_ids", known_ids},
                        {"learnt", learnt},
                        {"split",
                         {{"test_share", split.test_share},
                          {"validation_share", split.validation_share},
                          {"test_labels", split.test_labels},
                          {"seed", split.seed}}},
                        {"calibration", calibration},
                        {"epochs", epochs},
                        {"seconds", seconds},
                        {"device", device},
                        {"validation_recall", validation_recall}}
      .dump();
}

void Checkpoint::set_about(const std::string& json) {
  const auto about = nlohmann::json::parse(json);
  architecture = &find_architecture(about.at("architecture").get<std::string>());
  shape = {about.at("layers"),    about.at("experts"),    about.at("top_k"),
           about.at("distances"), about.at("vocabulary"), about.at("hidden")};
  context = about.at("context");
  seed = about.at("seed");
  trace = about.at("trace");
  const auto& held_out = about.at("split");
  split = {.test_share = held_out.at("test_share"),
           .validation_share = held_out.at("validation_share"),
           .test_labels = held_out.at("test_labels"),
           .seed = held_out.at("seed")};
  calibration = about.at("calibration").get<std::vector<std::pair<double, double>>>();
  recording = about.at("recording");
  known_ids = about.at("known_ids").get<std::vector<std::int32_t>>();
  learnt = about.at("learnt").get<std::vector<std::uint64_t>>();
  epochs = about.at("epochs");
  seconds = about.at("seconds");
  device = about.at("device");
  validation_recall = about.at("validation_recall").get<std::vector<double>>();
}

void Checkpoint::save(const std::filesystem::path& file) const {
  UnfinishedFile whole(file);
  {
    H5File h5 = H5File::create(whole.path());
    h5.set("/", "format", kFormat);
    h5.set("/", "version", kVersion);
    h5.set("/", "about", about());
    for (const auto& item : network->named_parameters()) {
      const torch::Tensor values = item.value().detach().to(torch::kCPU, torch::kFloat).contiguous();
      h5.write<float>("/parameters/" + item.key(),
                      std::span(values.data_ptr<float>(), static_cast<std::size_t>(values.numel())),
                      values.sizes().vec());
    }
  }
  whole.publish();
}

Checkpoint Checkpoint::load(const std::filesystem::path& file) {
  const H5File h5 = H5File::open(file);
  const auto fail = [&](const std::string& what) {
    return InputError(file.string(), 0, what, "a network that specmoe-train wrote");
  };
  if (!h5.has("/", "format") || h5.get_string("/", "format") != kFormat ||
      h5.get_integer("/", "version") != kVersion)
    throw fail("is no network of version 1");
  Checkpoint out;
  try {
    out.set_about(h5.get_string("/", "about"));
    out.network = out.architecture->make(out.shape);
  } catch (const nlohmann::json::exception&) {
    throw fail("its attribute about is damaged");
  } catch (const c10::Error&) {
    throw fail("its shape is none of a network");
  }
  if (out.shape.distances != kDistances || out.calibration.size() != kDistances)
    throw fail(fmt::format("it looks {} layers ahead, with {} calibrations", out.shape.distances,
                           out.calibration.size()));
  torch::NoGradGuard guard;
  for (auto& item : out.network->named_parameters()) {
    const std::string path = "/parameters/" + item.key();
    if (!h5.exists(path) || h5.shape(path) != item.value().sizes().vec())
      throw fail(fmt::format("{} is missing or of another shape", path));
    item.value().copy_(torch::tensor(h5.read<float>(path)).view(item.value().sizes()));
  }
  out.network->eval();
  return out;
}

torch::Device find_device(const std::string& name) {
  const bool gpu = torch::cuda::is_available();
  if (name == "cpu" || (name == "auto" && !gpu)) {
    // With Debian 12's LibTorch 1.13 and oneDNN 2.6.3 the gradient of gelu() is whatever was in memory.
    at::globalContext().setUserEnabledMkldnn(false);
    return torch::kCPU;
  }
  if (name == "cuda" && !gpu)
    throw InputError("--device", 0, "no GPU that this LibTorch can use", "cpu or auto");
  if (name != "cuda" && name != "auto")
    throw InputError("--device", 0, fmt::format("\"{}\"", name), "cpu, cuda or auto");
  // Products in TensorFloat-32: a third of the time, and no accuracy that these networks miss.
  at::globalContext().setAllowTF32CuBLAS(true);
  return torch::Device(torch::kCUDA, 0);
}

}  // namespace specmoe
