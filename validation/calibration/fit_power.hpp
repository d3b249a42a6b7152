// What a GPU draws, from readings of its board's power: medians, no search.
#pragma once
#include <optional>
#include <string>

#include "models/hardware/platform.hpp"
#include "validation/calibration/measurement.hpp"

namespace specmoe {

/// What the GPU does in a point of power/*: the values of its parameter.
enum class PowerOf { idle, memory_bound, compute_bound, copies_in, copies_out };

/// The fitted watts of a board, and joules of what it copies.
struct FittedPower {
  PowerDraw gpu;
  /// Of copies in and out: what the board draws beyond idle, over the copied bytes.
  JoulesPerByte in, out;
  /// From which the watts come: power/counter, where the board has none power/usage.
  std::string experiment;
};

/// @return none where no power was measured
std::optional<FittedPower> fit_power(const Measurement& measurement);

}  // namespace specmoe
