// What a host program did on a machine, as dates that tests compare.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sim/machine/machine.hpp"

namespace specmoe::testing {

/// A kernel or a copy.
struct Span {
  int stream;
  bool copy;
  double start, end;
};

struct Recording {
  /// In the order in which they ended.
  std::vector<Span> spans;
  /// What the program noted.
  std::vector<double> notes;
  double end;
  /// [device], J; empty where the machine does not know.
  std::vector<double> energy{};

  std::vector<Span> of(Stream stream) const;
};

/// A host program that may note dates.
using Program = std::function<void(Machine&, std::vector<double>& notes)>;

/// Runs on the simulated machine, in a process of its own. Any error but an InputError comes back as a
/// std::runtime_error with the same text.
Recording run_simulated(const Platform& platform, const Program& program);
/// Runs on the QueueMachine.
Recording run_queue(const Platform& platform, const Program& program);

}  // namespace specmoe::testing
