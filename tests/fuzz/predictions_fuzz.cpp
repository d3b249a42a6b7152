// Predictions of the predictor "external".
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/learning/guesser.hpp"
#include "sim/learning/predictions.hpp"
#include "sim/policies/predictor.hpp"
#include "tests/fuzz/h5_edits.hpp"
#include "tests/learning/small_data.hpp"

using namespace specmoe;
using fuzz::written;
using Path = std::filesystem::path;

namespace {

constexpr int kLayers = 2, kExperts = 8, kTopK = 2;

LearningData recording() { return testing::random_recording(kLayers, kExperts, kTopK, 3, 6, 1); }

std::vector<std::string> sound_predictions() {
  return {written([](const Path& file) {
    const LearningData data = recording();
    PredictorNetwork network;
    network.name = "n";
    network.parameters = 64;
    network.step.products = {{1, 4, 8}};
    network.layer.products = {{1, 8, 8}, {1, 8, 4}};
    network.layer.attention = {{2, 4, -1}};
    PredictionsWriter writer(file, data, network);
    for (int r = 0; r < 3; ++r) {
      const std::vector<float> scores(score_size(data, r), 0.25F);
      writer.add(rank_scores(data, r, scores));
    }
    writer.finish();
  })};
}

void read_predictions(const Path& file) {
  const auto kinds = predictor_kinds();
  const auto kind =
      std::find_if(kinds.begin(), kinds.end(), [](const PredictorKind& k) { return k.name == "external"; });
  PredictorContext context;
  context.layers = kLayers;
  context.experts = kExperts;
  context.top_k = kTopK;
  context.parameters.set("file", file.string());
  const auto predictor = kind->make(context);
  StepRouting step;
  step.layers = step.end_layer = kLayers;
  step.top_k = kTopK;
  step.tokens = 3;
  step.experts.assign(3 * kLayers * kTopK, 0);
  step.requests = {0, 0, 2};
  step.rows = {0, 5, 1};
  std::vector<ExpertId> named;
  for (int layer = 0; layer < kLayers; ++layer) predictor->predict(step, &step, layer, 1, named);
  (void)predictor->network();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::change_and_read(sound_predictions, read_predictions, data, size);
}
