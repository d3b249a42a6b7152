// What `specmoe study` and `specmoe-mpi` have in common.
#pragma once
#include <string>

#include "sim/study/conduct.hpp"

namespace CLI {
class App;
}

namespace specmoe {

/// What the command line says of a study, to specmoe and specmoe-mpi alike.
struct StudyCommand {
  std::string study, out, shard;
  bool plan_only = false, pareto = false, no_report = false;
  std::size_t rows = 60;
};

void add_study_options(CLI::App& app, StudyCommand& command);
/// Checks, simulates, collects, prints.
void run_study(const StudyCommand& command, const Distribute& distribute);

}  // namespace specmoe
