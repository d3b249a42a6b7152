// Machines that are in one thing better.
#pragma once
#include <string>
#include <vector>

#include "sim/planner/question.hpp"
#include "sim/planner/setting.hpp"

namespace specmoe {

/// The question, asked of a machine that is better in one thing.
struct BetterMachine {
  std::string what;
  Question question;
  std::vector<Edit> changes;
};

/// Twice of each: the link's bandwidth, the GPU's memory and its bandwidth, those of the host, the disk's. And the next
/// card: of the shipped platforms with a GPU memory of the same kind, no smaller and faster, the one with the slowest memory;
/// with this host's memory.
std::vector<BetterMachine> better_machines(const Question& question, const Setting& setting);

}  // namespace specmoe
