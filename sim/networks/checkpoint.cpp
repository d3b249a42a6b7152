#include "sim/networks/checkpoint.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "sim/base/input_error.hpp"
#include "sim/base/unfinished_file.hpp"

namespace specmoe {
namespace {

constexpr const char* kFormat = "specmoe-network";
constexpr int kVersion = 1;

}  // namespace

void Checkpoint::save(const std::filesystem::path& file) const {
  const nlohmann::json about{{"format", kFormat},
                             {"version", kVersion},
                             {"architecture", std::string(architecture->kind.name)},
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
                             {"split",
                              {{"test_share", split.test_share},
                               {"validation_share", split.validation_share},
                               {"test_labels", split.test_labels},
                               {"seed", split.seed}}},
                             {"calibration", calibration},
                             {"epochs", epochs},
                             {"seconds", seconds},
                             {"device", device},
                             {"validation_recall", validation_recall}};
  torch::serialize::OutputArchive archive, weights;
  network->save(weights);
  archive.write("about", c10::IValue(about.dump()));
  archive.write("network", weights);
  UnfinishedFile whole(file);
  try {
    archive.save_to(whole.path().string());
  } catch (const c10::Error&) {
    throw InputError(file.string(), 0, "cannot be written", "a folder that can be written to");
  }
  whole.publish();
}

Checkpoint Checkpoint::load(const std::filesystem::path& file) {
  const auto fail = [&](const std::string& what) {
    return InputError(file.string(), 0, what, "a network that specmoe-train wrote");
  };
  if (!std::filesystem::is_regular_file(file)) throw fail("no such file");
  torch::serialize::InputArchive archive, weights;
  nlohmann::json about;
  try {
    archive.load_from(file.string());
    c10::IValue text;
    archive.read("about", text);
    about = nlohmann::json::parse(text.toStringRef());
    archive.read("network", weights);
  } catch (const std::exception&) {
    throw fail("cannot be read");
  }
  if (about.value("format", "") != kFormat || about.value("version", 0) != kVersion)
    throw fail("has another format or version");
  try {
    Checkpoint out;
    out.architecture = &find_architecture(about.at("architecture").get<std::string>());
    out.shape = {about.at("layers"),    about.at("experts"),    about.at("top_k"),
                 about.at("distances"), about.at("vocabulary"), about.at("hidden")};
    out.context = about.at("context");
    out.seed = about.at("seed");
    out.trace = about.at("trace");
    const auto& split = about.at("split");
    out.split = {.test_share = split.at("test_share"),
                 .validation_share = split.at("validation_share"),
                 .test_labels = split.at("test_labels"),
                 .seed = split.at("seed")};
    out.calibration = about.at("calibration").get<std::vector<std::pair<double, double>>>();
    out.recording = about.at("recording");
    out.known_ids = about.at("known_ids").get<std::vector<std::int32_t>>();
    out.epochs = about.at("epochs");
    out.seconds = about.at("seconds");
    out.device = about.at("device");
    out.validation_recall = about.at("validation_recall").get<std::vector<double>>();
    out.network = out.architecture->make(out.shape);
    out.network->load(weights);
    out.network->eval();
    return out;
  } catch (const InputError&) {
    throw;
  } catch (const std::exception&) {
    throw fail("its parts do not fit together");
  }
}

torch::Device find_device(const std::string& name) {
  const bool gpu = torch::cuda::is_available();
  if (name == "cpu" || (name == "auto" && !gpu)) {
    // With Debian 12's LibTorch 1.13 and oneDNN 2.6.3 the gradient of gelu() is whatever was in memory.
    at::globalContext().setUserEnabledMkldnn(false);
    // LibTorch takes one thread a core where a core has two.
    if (!std::getenv("OMP_NUM_THREADS"))
      at::set_num_threads(static_cast<int>(std::thread::hardware_concurrency()));
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
