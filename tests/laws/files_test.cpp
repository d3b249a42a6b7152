// What writers write, readers read back, and what edits do to a document: on random ones, seeded.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "models/moe/routing/input_stream.hpp"
#include "models/moe/routing/routing_profile.hpp"
#include "sim/base/csv.hpp"
#include "sim/base/random.hpp"
#include "sim/base/yaml.hpp"
#include "sim/learning/learning_data.hpp"
#include "sim/learning/predictions.hpp"
#include "sim/policies/predictor.hpp"
#include "sim/results/summary.hpp"
#include "tests/engine/random_scenario.hpp"
#include "tests/learning/small_data.hpp"
#include "tests/moe/trace_helpers.hpp"
#include "validation/calibration/measurement.hpp"

using namespace specmoe;
using specmoe::testing::random_recording;

namespace {

constexpr int kCases = 50;

// A YAML value in one line, of maps, lists and plain scalars.
std::string random_value(Random& random, int depth) {
  const auto kind = depth == 0 ? 0 : random.below(3);
  if (kind == 0) {
    constexpr const char* kScalars[] = {"26 GB/s", "x2", "a b", "-1.5e3", "true", "25 %", "r2-d2", "é"};
    return kScalars[random.below(std::size(kScalars))];
  }
  std::string text;
  for (std::uint64_t i = 0, count = 1 + random.below(3); i < count; ++i) {
    if (i > 0) text += ", ";
    if (kind == 1) text.append("k").append(std::to_string(i)).append(": ");
    text += random_value(random, depth - 1);
  }
  return kind == 1 ? "{" + text + "}" : "[" + text + "]";
}

// Paths of all values below a node.
void collect(const Yaml& node, std::vector<std::string>& paths) {
  if (!node.path().empty()) paths.push_back(node.path());
  if (node.is_map())
    for (const auto& [key, value] : node.entries()) collect(value, paths);
  if (node.is_list())
    for (const Yaml& item : node.items()) collect(item, paths);
}

double random_number(Random& random) {
  const double size = std::pow(10.0, static_cast<double>(random.below(600)) - 300);
  return random.chance(0.1) ? std::numeric_limits<double>::quiet_NaN() : (random.uniform() - 0.5) * size;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

TEST_CASE("files: a YAML document as it is written is the same document") {
  Random random(1);
  for (int i = 0; i < kCases; ++i) {
    const std::string text = "{root: " + random_value(random, 4) + "}";
    CAPTURE(text);
    const Yaml once = Yaml::parse(text, "a.yaml"), again = Yaml::parse(once.written(), "a.yaml");
    CHECK(once.written() == text);
    CHECK(again.written() == text);
  }
}

TEST_CASE("files: an edit is found where it was put, changes nothing else, and the last one counts") {
  Random random(2);
  for (int i = 0; i < kCases; ++i) {
    const Yaml document = Yaml::parse("{root: " + random_value(random, 4) + "}", "a.yaml");
    std::vector<std::string> paths;
    collect(document, paths);
    const std::string path = paths[random.below(paths.size())];
    CAPTURE(path);
    const Yaml first = Yaml::parse(random_value(random, 2), "b.yaml"), last = document.replaced("last");
    const Yaml changed = document.with(path, first);
    CHECK(changed.at(path)->written() == first.written());
    CHECK(changed.with(path, last).written() == document.with(path, last).written());
    CHECK(changed.with(path, *document.at(path)).written() == document.written());  // taken back
    for (const std::string& other : paths)
      if (!other.starts_with(path) && !path.starts_with(other)) {
        CHECK(changed.at(other)->written() == document.at(other)->written());
        CHECK(changed.with(other, last).written() == document.with(other, last).with(path, first).written());
      }
  }
}

TEST_CASE("files: fields of a CSV line come back, whatever is in them") {
  Random random(3);
  for (int i = 0; i < 10 * kCases; ++i) {
    std::vector<std::string> fields(1 + random.below(5));
    std::string line;
    for (std::string& field : fields) {
      for (auto length = random.below(8); length > 0; --length) field += "\",;a \xff'"[random.below(7)];
      if (&field != &fields.front()) line += ',';
      line += csv_field(field);
    }
    CAPTURE(line);
    CHECK(csv_fields(line) == fields);
  }
}

TEST_CASE("files: a trace comes back: experts, weights, token ids, labels, lengths") {
  const TemporaryFolder folder;
  Random random(4);
  for (int i = 0; i < kCases / 5; ++i) {
    const int experts = 2 + static_cast<int>(random.below(30)),
              top_k = 1 + static_cast<int>(random.below(experts - 1));
    const LearningData data = random_recording(
        1 + static_cast<int>(random.below(5)), experts, top_k, 1 + static_cast<int>(random.below(4)),
        1 + static_cast<std::int64_t>(random.below(300)), random.bits());
    std::vector<int> all(data.requests.size());
    for (std::size_t r = 0; r < all.size(); ++r) all[r] = static_cast<int>(r);
    const auto file = folder / (std::to_string(i) + ".h5");
    write_trace(data, all, file);
    const LearningData back = load_learning_data(*RoutingTrace::open(file));
    CHECK(back.chosen == data.chosen);
    CHECK(back.weights == data.weights);
    CHECK(back.token_ids == data.token_ids);
    REQUIRE(back.requests.size() == data.requests.size());
    for (std::size_t r = 0; r < all.size(); ++r) {
      CHECK(back.requests[r].label == data.requests[r].label);
      CHECK(back.requests[r].rows == data.requests[r].rows);
      CHECK(back.requests[r].prefill_rows == data.requests[r].prefill_rows);
    }
  }
}

TEST_CASE("files: a rounded profile comes back to the bit") {
  const TemporaryFolder folder;
  Random random(5);
  for (int i = 0; i < kCases / 5; ++i) {
    RoutingProfile p;
    p.layers = 2 + static_cast<int>(random.below(3));
    p.experts = 2 + static_cast<int>(random.below(9));
    p.top_k = 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(p.experts)));
    p.segment_tokens = 1 + static_cast<int>(random.below(64));
    p.resize(RoutingProfile::base, 1);
    p.resize(RoutingProfile::latent, 1 + static_cast<int>(random.below(4)));
    p.resize(RoutingProfile::previous_layers, p.experts * (1 + static_cast<int>(random.below(2))));
    p.resize(RoutingProfile::together, p.experts);
    for (auto& table : p.tables)
      for (float& value : table.values) value = static_cast<float>(random.uniform() - 0.5);
    p.path = {{0, 1, 2}, {3, 0, 1}};
    p.paths.resize(4 * static_cast<std::size_t>(p.latents()));
    for (float& value : p.paths) value = static_cast<float>(random.uniform());
    p.weights.assign(static_cast<std::size_t>(p.layers * 3 * p.top_k), 0.5F);
    p.fitted = {{7, 3}};
    p.round();
    const auto file = (folder / (std::to_string(i) + ".h5")).string();
    p.save(file);
    const RoutingProfile back = RoutingProfile::load(file);
    for (std::size_t part = 0; part < RoutingProfile::kParts; ++part)
      CHECK(back.tables[part].values == p.tables[part].values);
    CHECK(back.paths == p.paths);
    CHECK(back.weights == p.weights);
    CHECK(back.segment_tokens == p.segment_tokens);
    CHECK(back.fitted.front().request == 7);
  }
}

TEST_CASE("files: predictions come back as what the predictor names") {
  const TemporaryFolder folder;
  Random random(6);
  const auto file = folder / "p.h5";
  const LearningData data = random_recording(3, 6, 2, 2, 5, 1);
  PredictionsWriter writer(file, data, std::nullopt);
  Predictions predictions{5, 3, prediction_ranks(6, 2), {}, {}};
  for (int i = 0; i < 5 * 3 * kDistances * predictions.ranks; ++i)
    predictions.experts.push_back(static_cast<std::int16_t>(random.below(6)));
  predictions.confidence.assign(predictions.experts.size(), 1);
  writer.add(predictions);
  writer.finish();
  PredictorContext context;
  context.layers = 3;
  context.experts = 6;
  context.top_k = 2;
  context.width = 1;  // the first name alone
  context.parameters.set("file", file.string());
  const auto predictor = predictor_named("external").make(context);
  StepRouting step;
  step.layers = step.end_layer = 3;
  step.top_k = 2;
  step.tokens = 1;
  step.experts.assign(6, 0);
  for (std::int64_t row = 0; row < 5; ++row) {
    step.rows = {row};
    std::vector<ExpertId> named;
    predictor->predict(step, nullptr, 1, 1, named);  // of layer 2, when layer 1 is known
    const auto first = static_cast<std::size_t>((row * 3 + 1) * kDistances * predictions.ranks);
    REQUIRE(named.size() == 1);
    CHECK(named.front() == ExpertId{2, predictions.experts[first]});
  }
}

TEST_CASE("files: a run's summary comes back, numbers that are none too") {
  const TemporaryFolder folder;
  Random random(7);
  struct Fill {
    Random& random;
    void operator()(const char*, double& value) const { value = random_number(random); }
    void operator()(const char*, std::int64_t& value) const {
      value = static_cast<std::int64_t>(random.bits());
    }
    void operator()(const char*, Bytes& value) const {
      value.count = static_cast<std::int64_t>(random.bits());
    }
  };
  for (int i = 0; i < kCases / 5; ++i) {
    RunSummary summary;
    for_each_field(summary, Fill{random});
    const auto name = folder / (std::to_string(i) + ".h5");
    H5File file = H5File::create(name);
    write_summary(file, "/run", summary);
    RunSummary back = read_summary(file, "/run");
    std::vector<double> written, read;
    for_each_field(summary, [&](const char*, auto field) { written.push_back(as_number(field)); });
    for_each_field(back, [&](const char*, auto field) { read.push_back(as_number(field)); });
    for (std::size_t k = 0; k < written.size(); ++k) CHECK(same(read[k], written[k]));
  }
}

TEST_CASE("files: measurements come back, with points of different numbers of samples") {
  const TemporaryFolder folder;
  Random random(8);
  for (int i = 0; i < kCases / 5; ++i) {
    Measurement measurement;
    measurement.about = {{"gpu", "a, \"b\""}, {"", "é"}};
    Experiment& experiment = measurement.experiments["a/b"];
    experiment.names = {"m", "n"};
    for (auto points = 1 + random.below(5); points > 0; --points) {
      MeasuredPoint point;
      point.parameters = {static_cast<std::int64_t>(random.bits()), 2};
      for (auto samples = 1 + random.below(4); samples > 0; --samples)
        point.samples.push_back(
            static_cast<double>(static_cast<float>(random.uniform())));  // stored as float32
      point.discarded = static_cast<std::int64_t>(random.below(9));
      experiment.points.push_back(point);
    }
    const auto file = folder / (std::to_string(i) + ".h5");
    measurement.write(file);
    const Measurement back = Measurement::read(file);
    CHECK(back.about == measurement.about);
    REQUIRE(back["a/b"].points.size() == experiment.points.size());
    for (std::size_t k = 0; k < experiment.points.size(); ++k) {
      CHECK(back["a/b"].points[k].parameters == experiment.points[k].parameters);
      CHECK(back["a/b"].points[k].samples == experiment.points[k].samples);
      CHECK(back["a/b"].points[k].discarded == experiment.points[k].discarded);
    }
  }
}
