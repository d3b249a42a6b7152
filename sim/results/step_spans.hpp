// What streams, links and disks did in a few steps of a run: the first prefill step, the first decode steps and the
// longest decode step. Bounded, so every run has it; the whole of a run is Timeline's.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/h5.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

/// Keeps the spans of a step that is drawn.
class StepSpans {
 public:
  /// Of a step, so many spans are kept, the first to end.
  static constexpr std::size_t kMostSpans = 4096;

  explicit StepSpans(const Platform& platform);

  void stream(Stream stream, const std::string& name);
  void kernel(Stream stream, const Kernel& kernel, Seconds start, Seconds end);
  void copy(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
            Seconds end);
  /// All that ended since the step before is of this step.
  void step_ended(bool prefill, Seconds start, Seconds end);

  /// As /timeline; layout: recorder.hpp.
  void write(H5File& file) const;

 private:
  struct Span {
    int row;
    const char* name;
    std::int32_t layer, expert;
    Seconds start, end;
    Bytes bytes;
  };
  struct Step {
    std::int64_t index = 0;
    bool prefill = false;
    Seconds start, end;
    std::vector<Span> spans;
    std::int64_t all = 0;  // spans, also those that were not kept
  };
  void add(const Span& span);

  const Platform& platform_;
  std::map<int, std::string> row_names_;
  Step current_;
  /// By Slot; each in its place when it has ended.
  std::array<std::optional<Step>, 4> kept_;
  /// The kept step that ended last, if it was the last step: copies under way at its end are its too.
  Step* last_ = nullptr;
  Seconds longest_decode_;
};

}  // namespace specmoe
