#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>

#include "sim/base/input_error.hpp"
#include "sim/learning/predictions.hpp"
#include "sim/train/commands.hpp"

namespace specmoe {
namespace {

struct Prediction {
  Recorded recorded;
  std::string baseline, device = "auto";
  std::filesystem::path network, out, trace_out;
  std::size_t requests = 0;
};

void run(const Prediction& p, bool split_given) {
  if (p.network.empty() == p.baseline.empty())
    throw InputError("specmoe-train predict", 0,
                     p.network.empty() ? "nothing predicts" : "two things predict",
                     "--network or --baseline");
  const LearningData data = load(p.recorded.trace);
  const auto one = [](const auto& value) {
    return value.empty() ? std::vector<std::remove_cvref_t<decltype(value)>>{} : std::vector{value};
  };
  Guessers guessers = make_guessers(data, p.recorded, one(p.baseline), one(p.network), p.device, split_given);
  std::vector<int> requests = guessers.requests;
  if (p.requests > 0 && p.requests < requests.size()) {
    for (std::size_t i = 0; i < p.requests; ++i)
      requests[i] = guessers.requests[i * requests.size() / p.requests];
    requests.resize(p.requests);
  }
  Guesser& guesser = *guessers.all.front();
  const auto* learned = dynamic_cast<const LearnedGuesser*>(&guesser);

  PredictionsWriter writer(p.out, data, learned ? std::optional(learned->about().network) : std::nullopt);
  if (!p.trace_out.empty()) write_trace(data, requests, p.trace_out);  // cannot it be written, better now
  std::vector<float> scores;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    guesser.score(data, requests[i], scores);
    writer.add(rank_scores(data, requests[i], scores));
    tokens += data.requests[static_cast<std::size_t>(requests[i])].rows;
    if (i % 16 == 15) fmt::print(stderr, "{} of {} requests\n", i + 1, requests.size());
  }
  writer.finish();
  fmt::print("{}: what {} expects in {} tokens of {} requests\n", p.out.string(), guesser.name(), tokens,
             requests.size());
}

}  // namespace

void add_predict_command(CLI::App& app) {
  auto p = std::make_shared<Prediction>();
  CLI::App* command = app.add_subcommand("predict",
                                         "Writes what a network or a baseline expects of the test requests, "
                                         "for the scenario's predictor external");
  const auto split = add_recording(*command, p->recorded);
  command->add_option("--network", p->network, "A trained network");
  command->add_option("--baseline", p->baseline, "A baseline, fitted on the training part");
  command->add_option("--out", p->out, "The predictions")->required();
  command->add_option(
      "--trace-out", p->trace_out,
      "The same requests as a trace: the scenario's routing, row by row with the predictions");
  command->add_option("--requests", p->requests, "Only so many of them, evenly spread");
  command->add_option("--device", p->device, "cpu, cuda, or auto")->capture_default_str();
  command->callback([p, split] {
    run(*p, std::any_of(split.begin(), split.end(), [](const CLI::Option* o) { return o->count() > 0; }));
  });
}

}  // namespace specmoe
