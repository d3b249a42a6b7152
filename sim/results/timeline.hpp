// A timeline in the Chrome trace format, which Perfetto (ui.perfetto.dev) opens: a row a stream and a link
// direction.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

/// Writes the events of one run, one JSON object a line, to a fragment; join_timelines makes a file of them.
class Timeline {
 public:
  /// @param process number and name of the run: its rows are grouped under them
  /// @param steps records the first so many steps
  Timeline(const std::filesystem::path& fragment, const Platform& platform, int process,
           const std::string& name, std::int64_t steps);

  void stream(Stream stream, const std::string& name);
  void kernel(Stream stream, const Kernel& kernel, Seconds start, Seconds end);
  void copy(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
            Seconds end);
  void step_ended() { --steps_left_; }

 private:
  void event(int row, const std::string& name, const char* category, Seconds start, Seconds end,
             const std::string& arguments);
  void name_row(int row, const std::string& name);

  const Platform& platform_;
  std::ofstream out_;
  int process_;
  std::int64_t steps_left_;
};

/// {"traceEvents": [...]} from the fragments, which are removed. @throws InputError if it cannot be written.
void join_timelines(const std::vector<std::filesystem::path>& fragments, const std::filesystem::path& file);

}  // namespace specmoe
