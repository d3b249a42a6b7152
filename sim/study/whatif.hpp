// Questions to one scenario: what if this were otherwise, what matters most, from where on does it pay?
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/study/cells.hpp"
#include "sim/study/conduct.hpp"

namespace specmoe {

/// Simulates a scenario under changes; what was asked before is found in the journal of its folder.
class Asking {
 public:
  /// The runs of one question, summed up.
  struct Answer {
    Study study;
    Plan plan;
    std::vector<CellSummary> cells;
  };

  /// @param base without axes of more than one value.
  Asking(Study base, StudyOptions options, Distribute distribute);

  /// All values of an axis beside each other; the first is the base of the comparison.
  /// @throws std::runtime_error if a simulation fails
  Answer ask(Axis axis) const;

 private:
  Study base_;
  StudyOptions options_;
  Distribute distribute_;
};

/// "platform.links.pcie.bandwidth=128GB/s" @throws InputError
Edit parse_edit(const std::string& text);

/// What a scenario's machine is described by and its engine given: links, memories, rates, host calls, accuracies.
std::vector<std::string> sensitivity_paths(const Study& base);
/// The keys of a scenario that hold for its strategies ("cache.capacity"), its own and those that strategies have.
std::vector<std::string> paths_of_key(const Yaml& scenario, const std::string& key);
/// Of a base and, for each path, a value with each of two factors; paths that a factor cannot change are left out.
Axis sensitivity_axis(const Study& base, const std::vector<std::string>& paths, double factor,
                      std::vector<std::string>& left_out);
/// For each strategy, the paths by how much they move TPOT, the most first, with a bar for each side.
std::string tornado_table(const Asking::Answer& answer);

/// The first value of the axis as "base", the second as "changed" (null if there is none): {"platform", "model",
/// "batch", "capacity_share", "strategies": [{"strategy", "refused": why it cannot run or null, "tpot" and "ttft" in s,
/// "tokens_per_second", "hit_rate" as a share of 1, "energy_per_token" in J, "peak_gpu_memory" in B}]}. Numbers are
/// means over replications, null where there are none.
std::string answer_json(const Asking::Answer& answer);

/// Where two strategies are equally fast.
struct BreakEven {
  /// Where both are equally fast, in the unit of the bounds; none if the same one is faster at both.
  std::optional<double> at;
  /// Tokens a second of the one over the other's, at the bounds.
  double at_low = 0, at_high = 0;
  int asked = 0;
  std::string unit;
};

/// Bisects between two values of a path, on a log scale if they are more than ten apart and positive, until the bounds are
/// within `tolerance` of each other (a share of the value). Where the ratio crosses 1 more than once, it finds one place.
/// @throws InputError if a strategy is not there or cannot run
BreakEven break_even(const Asking& asking, const std::string& path, const Yaml& low, const Yaml& high,
                     const std::string& strategy, const std::string& against, double tolerance);

}  // namespace specmoe
