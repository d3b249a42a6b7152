#include "tests/fuzz/h5_readers.hpp"

#include <algorithm>
#include <stdexcept>

#include "models/moe/routing/profile_generator.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "sim/learning/guesser.hpp"
#include "sim/learning/learning_data.hpp"
#include "sim/learning/predictions.hpp"
#include "sim/policies/predictor.hpp"
#include "sim/report/page_data.hpp"
#include "sim/report/report.hpp"
#include "sim/results/run.hpp"
#include "sim/scenario/scenario.hpp"
#include "tests/fuzz/h5_edits.hpp"
#include "tests/fuzz/small_machine.hpp"
#include "tests/learning/small_data.hpp"
#include "tests/moe/tiny_model.hpp"
#include "tests/report/small_study.hpp"
#include "tests/temporary_folder.hpp"
#include "validation/calibration/measurement.hpp"
#include "validation/calibration/runs.hpp"
#include "validation/compare/comparison.hpp"

namespace specmoe::fuzz {
namespace {

constexpr int kLayers = 2, kExperts = 8, kTopK = 2;
using Path = std::filesystem::path;

template <class Write>
std::string written(Write&& write) {
  const TemporaryFolder folder;
  write(folder / "file.h5");
  return read_text(folder / "file.h5");
}

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

std::vector<std::string> sound_profiles() {
  return {written([](const Path& file) {
    RoutingProfile p;
    p.layers = kLayers;
    p.experts = kExperts;
    p.top_k = kTopK;
    p.segment_tokens = 2;
    for (const auto part : {RoutingProfile::base, RoutingProfile::latent}) p.resize(part, 1);
    for (const auto part :
         {RoutingProfile::previous_layers, RoutingProfile::previous_token, RoutingProfile::together})
      p.resize(part, kExperts);
    p.resize(RoutingProfile::position, 2);
    p.position_first = {0, 4};
    p.path = {{0, 1, 2}, {3, 0, 1}};
    p.paths = {0.5F, 1, -1, 0};
    p.weights.assign(kLayers * 3 * kTopK, 0.5F);
    p.fitted = {{0, 3}, {1, 2}};
    p.save(file);
  })};
}

void read_profile(const Path& file) {
  ProfileOptions options;
  options.requests = 1;
  options.prompt_tokens = 3;
  options.output_tokens = 6;
  const RoutingProfile profile = RoutingProfile::load(file.string());
  // What a scenario checks before it makes tokens.
  if (profile.layers != kLayers || profile.experts != kExperts || profile.top_k != kTopK) return;
  ProfileGenerator made(profile, options);
  std::vector<std::int16_t> rows(9 * kLayers * kTopK);
  made.read(0, 0, 9, rows);
  std::vector<float> weights(rows.size());
  if (made.has_weights()) made.read_weights(0, 0, 9, weights);
}

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

std::vector<std::string> sound_results() {
  const std::string ran = written([](const Path& file) {
    const TemporaryFolder folder;
    folder.write("small", kSmallMachine);
    folder.write("tiny", kTinyDecoder);
    const auto text = R"(name: small
seed: 1
platform: small
model: tiny
routing: {generate: {zipf: 0.5, reuse: 0, correlation: 0}}
workload: {requests: 1, batch: 1, prompt_tokens: 2, output_tokens: 2}
cache: {capacity: auto}
strategies: [{name: a}, {name: b}]
)";
    RunOptions options;
    options.out = folder / "out";
    options.timeline = folder / "timeline.json";
    std::filesystem::copy(run_scenario(Scenario::load(folder.write("s.yaml", text)), options), file);
  });
  return {ran, written([](const Path& file) { write_small_study(file, "grid"); }),
          written([](const Path& file) { write_small_study(file, "one-at-a-time"); })};
}

void read_results(const Path& file) {
  fuzz::read([&] { (void)ResultsOverview::read(file); });
  (void)page_data({file});
}

std::vector<std::string> sound_measurements() {
  return {
      written([](const Path& file) {
        Measurement m;
        m.about = {{"gpu", "g"}, {"host", "h"}};
        m.experiments["copy/one"] = {"copies", {"bytes", "in"}, {{{1, 2}, {0.5, 1}, 0}, {{3, 4}, {1}, 1}}};
        m.experiments["gemm"] = {"products", {"m"}, {{{1}, {0.5}, 0}}};
        m.write(file);
      }),
      written([](const Path& file) {
        RunTable table;
        table.about = {{"gpu", "g"}};
        RunStep step;
        step.tokens = 1;
        table.runs = {{"s/a", 5, {{step, step}, {step}}, {{1, 0}, {2, 0}}}, {"s/b", 6, {{step}}}};
        table.write(file);
      }),
      written([](const Path& file) {
        write_comparisons({{"h100", "kernels", "gemm", "m 1", 1e-5, 1.1e-5}}, file);
      })};
}

void read_measurements(const Path& file) {
  const H5File opened = H5File::open(file);
  const std::string format = opened.has("/", "format") ? opened.get_string("/", "format") : "";
  if (format == "specmoe-measurements")
    Measurement::read(file).check_times();
  else if (format == "specmoe-runs")
    (void)RunTable::read(file);
  else
    (void)read_comparisons(file);
}

}  // namespace

const std::vector<H5Reader>& h5_readers() {
  static const std::vector<H5Reader> readers{{"trace", sound_traces, read_trace},
                                             {"profile", sound_profiles, read_profile},
                                             {"predictions", sound_predictions, read_predictions},
                                             {"results", sound_results, read_results},
                                             {"measurement", sound_measurements, read_measurements}};
  return readers;
}

int change_and_read(const char* name, const std::uint8_t* data, std::size_t size) {
  static const auto reader = std::find_if(h5_readers().begin(), h5_readers().end(),
                                          [&](const H5Reader& r) { return r.name == std::string(name); });
  static const std::vector<H5Subject> subjects = [] {
    std::vector<H5Subject> all;
    for (std::string& image : reader->sound()) all.emplace_back(std::move(image));
    return all;
  }();
  static MemoryFile file;
  Choices choices(data, size);
  const H5Subject& subject = subjects[choices.below(subjects.size())];
  file.write(subject.image());
  if (!choices.empty()) {
    subject.write_changed(choices, file.path());
    fuzz::read([&] { reader->read(file.path()); });
  } else {
    reader->read(file.path());  // a sound file is read without an error
  }
  return 0;
}

}  // namespace specmoe::fuzz
