// The commands of specmoe-train, and what they have in common.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/learning/split.hpp"
#include "sim/networks/networks.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace specmoe {

void add_train_command(CLI::App& app);
void add_evaluate_command(CLI::App& app);
void add_predict_command(CLI::App& app);
void add_networks_command(CLI::App& app);

/// The recording, and what is held out of it.
struct Recorded {
  std::filesystem::path trace;
  SplitOptions split;
};
/// TRACE and the options of the split. @returns those options.
std::vector<CLI::Option*> add_recording(CLI::App& command, Recorded& recorded);

/// With a line on stderr. @throws InputError
LearningData load(const std::filesystem::path& trace);

/// Guessers that are to be judged on the same requests.
struct Guessers {
  std::vector<std::unique_ptr<Guesser>> all;  // baselines fitted, in the order asked for; then the networks
  std::vector<int> requests;  // to predict: the test part, or what is new in another recording
  std::vector<Split::TestPart> parts;
  std::string description;
};
/// @param baselines nothing: all of them, where they may learn from this recording. They learn from the training part of
/// the networks' own split, or of `recorded.split` without networks.
/// @param split_given whether the split was asked for, so that one that differs from the networks' is an error.
/// @throws InputError if networks do not agree on the split or the recording.
Guessers make_guessers(const LearningData& data, const Recorded& recorded,
                       const std::optional<std::vector<std::string>>& baselines,
                       const std::vector<std::filesystem::path>& networks, const std::string& device,
                       bool split_given);

}  // namespace specmoe
