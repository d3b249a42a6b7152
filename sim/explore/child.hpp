// Another program, run with a limit.
#pragma once
#include <atomic>
#include <chrono>
#include <string>
#include <vector>

namespace specmoe {

/// How a process ended, and what it printed.
struct ChildResult {
  enum class End { exited, timed_out, stopped } end = End::exited;
  /// Exit status; 128 + the signal if one ended it.
  int status = 0;
  std::string out, err;
};

/// Runs a program without a shell, with no input and no open file of ours, and collects what it writes. At the limit, or
/// when `stop` turns true, it and the processes of its group are killed.
/// @param command the program's path, then its arguments
/// @throws std::runtime_error if it cannot be started
ChildResult run_limited(const std::vector<std::string>& command, std::chrono::milliseconds limit,
                        const std::atomic<bool>& stop);

}  // namespace specmoe
