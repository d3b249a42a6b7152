// A trained network and what it was trained on, in one HDF5 file, which every version of LibTorch and h5py read:
//   /                  attributes: format "specmoe-network", version 1, about: JSON text of what stands in Checkpoint
//   /parameters/NAME   float32, one dataset each
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "sim/learning/split.hpp"
#include "sim/networks/architectures.hpp"

namespace specmoe {

/// A trained network, with all that using it or training on needs.
struct Checkpoint {
  const Architecture* architecture = nullptr;
  NetworkShape shape;
  std::shared_ptr<Network> network;
  std::int64_t context = 0;
  std::uint64_t seed = 0;
  /// Ascending; the i-th is the network's token i.
  std::vector<std::int32_t> known_ids;
  /// The recording, in words and by recording_id(); what was held out of it.
  std::string trace, recording;
  /// request_id() of what it was trained and validated on, ascending.
  std::vector<std::uint64_t> learnt;
  SplitOptions split;
  /// [distance - 1] a and b: an expert of log odds z is chosen with probability 1 / (1 + exp(-(a z + b))), fitted on the
  /// validation requests (Platt 1999).
  std::vector<std::pair<double, double>> calibration;
  int epochs = 0;
  double seconds = 0;
  std::string device;
  std::vector<double> validation_recall;

  /// All but the network, as JSON; and back again.
  std::string about() const;
  void set_about(const std::string& json);

  /// @throws InputError if the file cannot be written.
  void save(const std::filesystem::path& file) const;
  /// On the CPU. @throws InputError if the file is no checkpoint of this program.
  static Checkpoint load(const std::filesystem::path& file);
};

/// "auto" is the first GPU where there is one. @throws InputError
torch::Device find_device(const std::string& name);

}  // namespace specmoe
