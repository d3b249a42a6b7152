// What every network must be: as large as it says, blind to the future, able to learn, the same after an interruption.
#include <doctest/doctest.h>

#include <atomic>

#include "sim/base/h5.hpp"
#include "sim/learning/predictions.hpp"
#include "sim/learning/score.hpp"
#include "sim/networks/networks.hpp"
#include "sim/networks/trainer.hpp"
#include "tests/learning/small_data.hpp"
#include "tests/moe/trace_helpers.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

// Without hidden states; of the transformers, which share their code, the smallest.
std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const NetworkKind& kind : network_kinds())
    if (!kind.needs_hidden && kind.name != "dense" && kind.name != "enhanced" && kind.name != "lightweight")
      out.emplace_back(kind.name);
  return out;
}

Split fixed_split() {
  Split split;
  split.train = {0, 1, 2, 3};
  split.validation = {4};
  split.test = {5};
  split.description = "by hand";
  return split;
}

TrainSettings settings_of(const std::string& name, const std::filesystem::path& out, int epochs = 1) {
  TrainSettings settings;
  settings.architecture = name;
  settings.out = out;
  settings.epochs = epochs;
  settings.device = "cpu";
  return settings;
}

TrainReport train_on(
    const LearningData& data, const Split& split, const TrainSettings& settings,
    const std::function<void(const EpochReport&)>& progress = [](const EpochReport&) {}) {
  const std::atomic<bool> stop{false};
  return train(data, split, {}, settings, stop, progress);
}

std::vector<float> scores_of(const std::filesystem::path& file, const LearningData& data, int request) {
  std::vector<float> out;
  load_guesser(file, data, {}, "cpu")->score(data, request, out);
  return out;
}

// Layer 0 is the token's id; of each later layer the expert one further; the next token's id is one more than the token's.
LearningData counting(int layers, int experts, int requests, int rows) {
  LearningData data = empty_data(layers, experts, 1);
  data.header.has_token_ids = data.has_token_ids = true;
  data.vocabulary = experts;
  auto random = Random::stream(3, "counting");
  for (int r = 0; r < requests; ++r) {
    std::vector<std::int16_t> chosen;
    const auto first = static_cast<int>(random.below(static_cast<std::uint64_t>(experts)));
    for (int row = 0; row < rows; ++row) {
      data.token_ids.push_back((first + row) % experts);
      for (int layer = 0; layer < layers; ++layer)
        chosen.push_back(static_cast<std::int16_t>((first + row + layer) % experts));
    }
    add_request(data, chosen);
  }
  return data;
}

}  // namespace

TEST_CASE("networks: the seed's three have its parameters, to the last one") {
  const NetworkShape seed{.layers = 12, .experts = 128, .top_k = 1, .distances = 1};
  CHECK(describe_network("dense", seed).parameters == 8'416'769);
  CHECK(describe_network("enhanced", seed).parameters == 24'532'609);
  CHECK(describe_network("lightweight", seed).parameters == 4'624'769);
  CHECK(describe_network("light-2m", seed).parameters == 2'182'017);
  CHECK(message_of([&] { describe_network("densest", seed); }).find("one of dense, enhanced") !=
        std::string::npos);
}

TEST_CASE("networks: what a token costs has the matrices that are there") {
  const NetworkShape shape{.layers = 6, .experts = 16, .top_k = 2, .vocabulary = 50, .hidden = 24};
  for (const NetworkKind& kind : network_kinds()) {
    CAPTURE(kind.name);
    const PredictorNetwork network = describe_network(kind.name, shape);
    CHECK(network.name == kind.name);
    CHECK(!network.layer.empty());
    for (const NetworkPart* part : {&network.step, &network.layer})
      for (const NetworkProduct& p : part->products) CHECK((p.rows > 0 && p.inner > 0 && p.columns > 0));
  }
  // All of a probe's parameters but the biases, six layers of one map.
  const PredictorNetwork probe = describe_network("probe", shape);
  CHECK(probe.parameters == 6 * (probe.weights() + 4 * 16));
}

TEST_CASE("networks: none sees what comes later") {
  const TemporaryFolder folder;
  const LearningData data = random_recording(6, 8, 2, 6, 7, 3);
  for (const std::string& name : names()) {
    CAPTURE(name);
    train_on(data, fixed_split(), settings_of(name, folder / "n.h5", 2));
    const std::vector<float> before = scores_of(folder / "n.h5", data, 5);
    REQUIRE(before.size() == score_size(data, 5));
    const std::int64_t first = data.requests[5].first_row;
    auto random = Random::stream(9, "future");
    for (std::int64_t row = 0; row < 7; row += 3)
      for (int layer = 0; layer < 6; layer += 2) {
        LearningData changed = data;
        for (std::int64_t r = row; r < 7; ++r) {
          for (int l = r == row ? layer + 1 : 0; l < 6; ++l) randomise(changed, first + r, l, random);
          if (r > row)
            changed.token_ids[static_cast<std::size_t>(first + r)] = static_cast<int>(random.below(5));
        }
        const std::vector<float> after = scores_of(folder / "n.h5", changed, 5);
        const auto known = ((row * 6 + layer) + 1) * kDistances * 8;
        for (std::int64_t i = 0; i < known; ++i)  // sums may be in another order
          REQUIRE(after[static_cast<std::size_t>(i)] ==
                  doctest::Approx(before[static_cast<std::size_t>(i)]).epsilon(1e-4));
        // What it may see, it sees.
        CHECK(!std::equal(before.begin() + known, before.end(), after.begin() + known));
      }
  }
}

TEST_CASE("networks: learn what there is to learn, and are sure of it") {
  const TemporaryFolder folder;
  const LearningData data = counting(5, 6, 24, 16);
  Split split;
  for (int r = 0; r < 18; ++r) split.train.push_back(r);
  for (int r = 18; r < 21; ++r) split.validation.push_back(r);
  for (int r = 21; r < 24; ++r) split.test.push_back(r);
  for (const std::string& name :
       {std::string("masked"), std::string("mlp"), std::string("gru"), std::string("light-2m")}) {
    CAPTURE(name);
    TrainSettings settings = settings_of(name, folder / (name + ".h5"), name == "light-2m" ? 8 : 12);
    settings.batch = 2;
    settings.learning_rate = 2e-3;
    const TrainReport report = train_on(data, split, settings);
    CHECK(report.validation_recall.size() == kDistances);
    const auto guesser = load_guesser(settings.out, data, {}, "cpu");
    const Score score = score_guesser(*guesser, data, split.test);
    for (int distance = 1; distance <= 4; ++distance)
      CHECK(score.value({Metric::Kind::top1}, {.distance = distance}) > 0.95);
    CHECK(score.value({Metric::Kind::top1}, {.distance = 1, .next_token = true}) > 0.9);
    CHECK(score.calibration_error(1) < 0.05);
  }
}

TEST_CASE("networks: a probe reads the recorded hidden states, and nothing else") {
  const TemporaryFolder folder;
  const LearningData data = counting(5, 6, 24, 16);
  std::vector<int> all;
  for (int r = 0; r < 24; ++r) all.push_back(r);
  write_trace(data, all, folder / "t.h5");
  std::vector<float> hidden(static_cast<std::size_t>(data.rows() * 5 * 6));
  for (std::size_t i = 0; i < data.chosen.size(); ++i)
    hidden[i * 6 + static_cast<std::size_t>(data.chosen[i])] = 1;
  H5File::modify(folder / "t.h5").write<float>("/hidden", hidden, {data.rows(), 5, 6});
  TrainSettings settings = settings_of("probe", folder / "p.h5", 40);
  settings.hidden = folder / "t.h5";
  settings.batch = 2;
  settings.learning_rate = 0.05;
  Split split = fixed_split();
  for (int r = 6; r < 24; ++r) split.train.push_back(r);
  train_on(data, split, settings);
  const auto guesser = load_guesser(settings.out, data, folder / "t.h5", "cpu");
  CHECK(score_guesser(*guesser, data, split.test).value({Metric::Kind::top1}, {.distance = 2}) > 0.95);
  CHECK(guesser->about().shape.hidden == 6);
  CHECK(message_of([&] { load_guesser(settings.out, data, folder / "p.h5", "cpu"); }).find("hidden states") !=
        std::string::npos);
}

TEST_CASE("networks: training goes on where it was interrupted, to the same weights") {
  const TemporaryFolder folder;
  const LearningData data = random_recording(5, 8, 2, 6, 9, 3);
  const Split split = fixed_split();
  train_on(data, split, settings_of("masked", folder / "whole.h5", 4));

  std::atomic<bool> stop{false};
  const TrainSettings settings = settings_of("masked", folder / "parts.h5", 4);
  int epochs = 0;
  const TrainReport first =
      train(data, split, {}, settings, stop, [&](const EpochReport&) { stop = ++epochs == 2; });
  CHECK(first.interrupted);
  CHECK(std::filesystem::exists(folder / "parts.h5.resume"));
  TrainSettings others = settings;
  others.seed = 2;
  CHECK(message_of([&] { train_on(data, split, others); }).find("belongs to other settings") !=
        std::string::npos);
  const TrainReport rest = train_on(data, split, settings, [&](const EpochReport&) { ++epochs; });
  CHECK(!rest.interrupted);
  CHECK(epochs == 4);
  CHECK(!std::filesystem::exists(folder / "parts.h5.resume"));
  const std::vector<float> parts = scores_of(folder / "parts.h5", data, 5),
                           whole = scores_of(folder / "whole.h5", data, 5);
  for (std::size_t i = 0; i < parts.size(); ++i) CHECK(parts[i] == doctest::Approx(whole[i]).epsilon(1e-4));
}

TEST_CASE("networks: files that are none, and of other models") {
  const TemporaryFolder folder;
  const LearningData data = random_recording(5, 8, 2, 6, 9, 3);
  const auto text = folder.write("text.h5", "no network");
  CHECK(message_of([&] { load_guesser(text, data, {}, "cpu"); }) ==
        text.string() + ": is no HDF5 file, or truncated; expected a complete HDF5 file");
  CHECK(message_of([&] { load_guesser(folder / "none.h5", data, {}, "cpu"); }).find("none.h5") !=
        std::string::npos);
  train_on(data, fixed_split(), settings_of("mlp", folder / "n.h5"));
  CHECK(message_of([&] { load_guesser(folder / "n.h5", random_recording(5, 9, 2, 6, 9, 3), {}, "cpu"); }) ==
        (folder / "n.h5").string() + ": its network is for 8 experts; expected the recording's 9");
  CHECK(message_of([&] { load_guesser(folder / "n.h5", data, {}, "gpu"); }).find("cpu, cuda or auto") !=
        std::string::npos);
  CHECK(message_of([&] {
          train_on(data, fixed_split(), settings_of("probe", folder / "p.h5"));
        }).find("/hidden") != std::string::npos);
}
