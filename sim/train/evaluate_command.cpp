#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "sim/base/input_error.hpp"
#include "sim/base/unfinished_file.hpp"
#include "sim/learning/score.hpp"
#include "sim/train/commands.hpp"

namespace specmoe {
namespace {

struct Evaluation {
  Recorded recorded;
  std::vector<std::string> baselines;
  std::vector<std::filesystem::path> networks;
  std::filesystem::path csv;
  std::string device = "auto";
  ScoreOptions score;
  bool reliability = false;
};

void write_csv(const std::filesystem::path& file, const std::string& text) {
  UnfinishedFile whole(file);
  std::ofstream out(whole.path());
  out << text;
  out.close();
  if (!out) throw InputError(file.string(), 0, "cannot be written", "a folder that can be written to");
  whole.publish();
}

void run(const Evaluation& e, bool split_given) {
  const LearningData data = load(e.recorded.trace);
  std::optional<std::vector<std::string>> baselines;
  if (!e.baselines.empty()) baselines = e.baselines;
  if (e.baselines == std::vector<std::string>{"none"}) baselines->clear();
  Guessers guessers = make_guessers(data, e.recorded, baselines, e.networks, e.device, split_given);
  std::vector<ScoredGuesser> scored;
  for (auto& guesser : guessers.all) {
    fmt::print(stderr, "scoring {}\n", guesser->name());
    scored.push_back({guesser->name(), score_guesser(*guesser, data, guessers.requests, e.score),
                      guesser->gives_probabilities()});
    guesser.reset();  // a large table less
  }
  fmt::print("{}\n", guessers.description);
  std::string csv;
  for (const auto& part : guessers.parts) {
    std::vector<ScoredGuesser> of_part;
    for (const auto& s : scored)
      of_part.push_back({s.name, s.score.only(part.requests), s.gives_probabilities});
    fmt::print("\n{}: {} requests\n{}", part.name, part.requests.size(), score_table(of_part));
    if (e.reliability) fmt::print("\n{}", reliability_table(of_part));
    const std::string lines = score_csv(of_part);
    const std::size_t head = lines.find('\n') + 1;
    if (csv.empty()) csv = "test_part," + lines.substr(0, head);
    for (std::size_t at = head; at < lines.size();) {
      const std::size_t end = lines.find('\n', at) + 1;
      csv += fmt::format("\"{}\",{}", part.name, lines.substr(at, end - at));
      at = end;
    }
  }
  if (!e.csv.empty()) write_csv(e.csv, csv);
}

}  // namespace

void add_evaluate_command(CLI::App& app) {
  auto e = std::make_shared<Evaluation>();
  CLI::App* command = app.add_subcommand(
      "evaluate", "Judges networks and baselines on the requests that none of them learnt from");
  const auto split = add_recording(*command, e->recorded);
  command->add_option("--network", e->networks, "A trained network; again for more, of the same split");
  command->add_option("--baseline", e->baselines,
                      "Instead of all of them; again for more; \"none\" for none");
  command->add_option("--csv", e->csv, "Also every layer and distance, with intervals");
  command->add_flag("--reliability", e->reliability, "Also how often a guess comes true, by its confidence");
  command->add_flag("--decode-only", e->score.decode_only, "Without prefill tokens");
  command->add_option("--device", e->device, "cpu, cuda, or auto")->capture_default_str();
  command->callback([e, split] {
    run(*e, std::any_of(split.begin(), split.end(), [](const CLI::Option* o) { return o->count() > 0; }));
  });
}

}  // namespace specmoe
