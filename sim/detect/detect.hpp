// Writes a platform file of the machine that this runs on: what the machine tells of itself, the rest carried over from
// the platform whose GPU is the same or the nearest.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "models/hardware/platform.hpp"
#include "sim/detect/host.hpp"

namespace specmoe {

/// With this a file begins that detect wrote.
constexpr std::string_view kDetectedHead = "# What this machine tells of itself";

/// What a user may say.
struct DetectOptions {
  /// A platform's name: its GPU, or its module with one memory, in this host. Empty: the GPU that is here.
  std::string gpu;
  /// Which of several GPUs.
  int index = 0;
  /// Of the platform that is written.
  std::string name = "this_machine";
};

/// A platform file, and how it came about.
struct Detected {
  std::string yaml;
  /// The file as it is read, made whole.
  Platform platform;
  /// Lines for a user: what was found and what was guessed.
  std::vector<std::string> notes;
};

/// @throws InputError if there is no GPU, or one that is like none of the platforms, and `gpu` names none
Detected detect(const Host& host, const DetectOptions& options);

}  // namespace specmoe
