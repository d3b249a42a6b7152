// The door of the room, without LibTorch: which networks there are, what they cost, and trained ones as guessers.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/learning/guesser.hpp"
#include "sim/learning/split.hpp"
#include "sim/policies/predictor_network.hpp"

namespace specmoe {

/// What a network must fit.
struct NetworkShape {
  std::int64_t layers = 0, experts = 0, top_k = 0;
  /// Layers ahead: 1 .. distances.
  std::int64_t distances = kDistances;
  /// Token ids that it tells apart are 0 .. vocabulary - 1; `vocabulary` is every other one.
  std::int64_t vocabulary = 0;
  /// Width of the hidden states before the routers; 0 where none are read.
  std::int64_t hidden = 0;
};

/// What `specmoe networks` lists of an architecture.
struct NetworkKind {
  std::string_view name, summary, source;
  bool needs_hidden = false;
};
/// Those of architectures.cpp.
std::vector<NetworkKind> network_kinds();
/// Its parameters and what a token costs. @throws InputError for an unknown name.
PredictorNetwork describe_network(std::string_view name, const NetworkShape& shape);

/// What a file says of its network.
struct LearnedAbout {
  std::string trace;
  std::string recording;              // recording_id() of what it was trained on
  std::vector<std::uint64_t> learnt;  // request_id() of what it was trained and validated on, ascending
  SplitOptions split;
  NetworkShape shape;
  double seconds = 0;  // of training
  PredictorNetwork network;
};

/// A network out of a file, which can tell of itself and be timed.
class LearnedGuesser : public Guesser {
 public:
  virtual const LearnedAbout& about() const = 0;
  /// Median seconds of a forward pass of so many tokens of one request at one layer; everything but the last token's
  /// answer could be cached by an engine, which this does not do.
  virtual double forward_seconds(std::int64_t tokens) = 0;
};

/// A trained network. Scores are calibrated probabilities. fit() does nothing.
/// @param trace where hidden states are read, if the network wants them.
/// @param device "cpu", "cuda", or "auto": the GPU where there is one.
/// @throws InputError if the file is no network, one of another shape than the data, or the device is not there.
std::unique_ptr<LearnedGuesser> load_guesser(const std::filesystem::path& file, const LearningData& data,
                                             const std::filesystem::path& trace, const std::string& device);

/// Tells recordings apart: rows and a hash of their experts, gate weights and token ids.
std::string recording_id(const LearningData& data);
/// Tells requests apart: a hash of their experts.
std::uint64_t request_id(const LearningData& data, int request);

}  // namespace specmoe
