// Training a network to guess the experts of coming layers.
#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "sim/learning/learning_data.hpp"
#include "sim/learning/split.hpp"

namespace specmoe {

/// What a training may be told.
struct TrainSettings {
  std::string architecture;
  std::filesystem::path out;
  std::uint64_t seed = 1;
  int epochs = 60;
  /// Epochs without a better validation recall after which it stops.
  int patience = 8;
  /// Wall-clock limit, resumed time included; 0 for none. The learning rate falls along it.
  double minutes = 0;
  /// The trace, where the architecture reads its hidden states.
  std::filesystem::path hidden;
  /// "cpu", "cuda", or "auto".
  std::string device = "auto";
  /// Overrides of the architecture's own; 0 keeps them.
  std::int64_t context = 0, batch = 0, layers = 0;
  double learning_rate = 0;
};

/// What training says of itself while it goes on.
struct EpochReport {
  int epoch = 0;
  /// Below 1: within it, from time to time, with loss and seconds alone.
  double share = 1;
  double loss = 0, validation_loss = 0;
  /// Share of the true experts among the first top_k named, mean over layers, by distance within the token.
  std::vector<double> validation_recall;
  double seconds = 0;
  bool best = false;
};

/// What came of a training.
struct TrainReport {
  std::int64_t parameters = 0;
  int epochs = 0, best_epoch = 0;
  double seconds = 0;
  std::vector<double> validation_recall;
  std::string device, ended;
  bool interrupted = false;
};

/// Keeps its state in `out`.resume after every epoch, from which a call with the same settings goes on, and writes `out`,
/// the network of the best validation recall, when it ends or is stopped.
/// @throws InputError for an unknown architecture or device, data without what it needs, a file that belongs to other
/// settings.
/// @param stop when it becomes true, training ends with the present epoch unfinished; what was saved stays.
/// @param held_out the options that made `split`; they are kept in the file, so that others can make it again.
TrainReport train(const LearningData& data, const Split& split, const SplitOptions& held_out,
                  const TrainSettings& settings, const std::atomic<bool>& stop,
                  const std::function<void(const EpochReport&)>& progress);

}  // namespace specmoe
