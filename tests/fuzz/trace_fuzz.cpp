// Routing traces, with what else reads them: the hidden states of learned predictors.
#include <filesystem>
#include <string>
#include <vector>

#include "models/moe/routing/routing_trace.hpp"
#include "sim/learning/learning_data.hpp"
#include "sim/learning/predictions.hpp"
#include "tests/fuzz/h5_edits.hpp"
#include "tests/learning/small_data.hpp"

using namespace specmoe;
using fuzz::written;
using Path = std::filesystem::path;

namespace {

constexpr int kLayers = 2, kExperts = 8, kTopK = 2;

LearningData recording() { return testing::random_recording(kLayers, kExperts, kTopK, 3, 6, 1); }

std::vector<std::string> sound_traces() {
  return {written([](const Path& file) {
    LearningData data = recording();
    data.header.expert_bytes = {100, 200};
    data.header.model = "m";
    write_trace(data, std::vector<int>{0, 1, 2}, file);
  })};
}

void read_trace(const Path& file) {
  const auto trace = RoutingTrace::open(file);
  LearningLimits limits;
  limits.requests = limits.rows = 100;
  (void)load_learning_data(*trace, limits);
  (void)trace->description();
  if (HiddenStates::recorded(file)) (void)HiddenStates(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::change_and_read(sound_traces, read_trace, data, size);
}
