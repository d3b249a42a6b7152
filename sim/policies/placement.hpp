// Where a missed expert is computed. A rule is one file in placement/: one function, listed in the table of
// placement.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sim/base/units.hpp"

namespace specmoe {

/// An expert of a layer that is not in GPU memory, with what it takes on devices and links that do nothing else.
struct MissedExpert {
  /// Tokens that want it.
  std::int64_t rows = 0;
  /// Weights that the link, or the CPU's memory, must deliver.
  Bytes bytes;
  /// Copy of the weights to the GPU; the GPU's kernels.
  Seconds transfer, gpu;
  /// The CPU's kernels; copies of the rows' activations to the CPU and of the results back.
  Seconds cpu, activations;
};

/// What a rule may know beside the misses.
struct PlacementContext {
  /// Of the host memory, which the CPU's kernels and the copies share.
  BytesPerSecond host_memory;
};

/// A row of the table of rules.
struct PlacementKind {
  std::string_view name;
  std::string_view summary;
  /// Where the rule was published; empty for what needs none.
  std::string_view source;
  /// Whether it may choose the CPU.
  bool uses_cpu;
  /// Decides for all misses that become known together. @return [miss] whether the CPU computes it
  std::vector<bool> (*place)(std::span<const MissedExpert> misses, const PlacementContext& context);
};

/// All rules; what scenarios, error messages and `specmoe list` name.
std::span<const PlacementKind> placement_kinds();

}  // namespace specmoe
