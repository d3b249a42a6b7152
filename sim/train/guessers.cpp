#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "sim/base/input_error.hpp"
#include "sim/train/commands.hpp"

namespace specmoe {
std::vector<CLI::Option*> add_recording(CLI::App& command, Recorded& recorded) {
  command.add_option("trace", recorded.trace, "Recorded routing (specmoe trace import, record.py)")
      ->required();
  SplitOptions& split = recorded.split;
  return {command
              .add_option("--test-share", split.test_share,
                          "Share of the requests, at random, that nothing learns from and that judges")
              ->capture_default_str(),
          command
              .add_option("--validation-share", split.validation_share,
                          "Share of the others that ends training and calibrates")
              ->capture_default_str(),
          command.add_option(
              "--test-label", split.test_labels,
              "Tests on all requests of this label or label prefix, a data set say; again for more"),
          command.add_option("--split-seed", split.seed, "Of the random parts")->capture_default_str()};
}

LearningData load(const std::filesystem::path& trace) {
  const auto opened = RoutingTrace::open(trace);
  LearningData data = load_learning_data(*opened);
  fmt::print(stderr, "{}: {} requests, {} tokens, {} layers of {} experts, top {}\n", trace.string(),
             data.requests.size(), data.rows(), data.layers, data.experts, data.top_k);
  return data;
}

Guessers make_guessers(const LearningData& data, const Recorded& recorded,
                       const std::optional<std::vector<std::string>>& baselines,
                       const std::vector<std::filesystem::path>& networks, const std::string& device,
                       bool split_given) {
  Guessers out;
  std::vector<std::unique_ptr<LearnedGuesser>> learned;
  for (const auto& file : networks) learned.push_back(load_guesser(file, data, recorded.trace, device));
  SplitOptions options = recorded.split;
  const std::string id = recording_id(data);
  if (!learned.empty()) {
    const LearnedAbout& first = learned.front()->about();
    for (std::size_t i = 0; i < learned.size(); ++i) {
      const LearnedAbout& about = learned[i]->about();
      if (about.recording != first.recording || about.split != first.split)
        throw InputError(networks[i].string(), 0,
                         "was trained on other requests than " + networks.front().string(),
                         "networks of one recording and one split");
    }
    if (first.recording == id) {
      if (split_given && options != first.split)
        throw InputError(networks.front().string(), 0, "was trained with another split",
                         "no --test-share, --validation-share, --test-label and --split-seed, or its own");
      options = first.split;
    } else if (baselines && !baselines->empty()) {
      throw InputError(networks.front().string(), 0,
                       fmt::format("was trained on another recording ({})", first.trace),
                       "no --baseline beside it: they would learn from what it has never seen");
    } else {
      for (int request = 0; request < std::ssize(data.requests); ++request)
        if (!std::binary_search(first.learnt.begin(), first.learnt.end(), request_id(data, request)))
          out.requests.push_back(request);
      if (out.requests.empty())
        throw InputError(recorded.trace.string(), 0, "the network learnt from every request of it", "others");
      out.description = fmt::format(
          "{} of {} requests, which the network did not learn from; it did from another recording ({})",
          out.requests.size(), data.requests.size(), first.trace);
      out.parts = {{"all", out.requests}};
    }
  }
  if (out.requests.empty()) {
    const Split split = split_requests(data, options);
    out.requests = split.test;
    out.parts = split.test_parts;
    out.description = split.description;
    std::vector<std::string> names;
    if (baselines)
      names = *baselines;
    else
      for (const BaselineKind& kind : baseline_kinds()) names.emplace_back(kind.name);
    for (const std::string& name : names) {
      const BaselineKind& kind = baseline_named(name);
      if (kind.needs_token_ids && !data.has_token_ids) {
        fmt::print(stderr, "{} is left out: the recording has no token ids\n", name);
        continue;
      }
      fmt::print(stderr, "fitting {}\n", name);
      out.all.push_back(kind.make(options.seed));
      out.all.back()->fit(data, split.train, split.validation);
    }
  }
  for (auto& guesser : learned) out.all.push_back(std::move(guesser));
  if (out.all.empty())
    throw InputError(recorded.trace.string(), 0, "nobody predicts", "a --network or a --baseline");
  fmt::print(stderr, "{}\n", out.description);
  return out;
}

}  // namespace specmoe
