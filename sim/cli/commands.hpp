// The subcommands of specmoe: each adds itself to the application.
#pragma once
#include <stdexcept>

namespace CLI {
class App;
}

namespace specmoe {

/// What a command was asked to check does not hold, and it has said so: exit status 1.
class CheckFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void add_run_command(CLI::App& app);
void add_compare_command(CLI::App& app);
void add_study_command(CLI::App& app);
void add_whatif_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_explore_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_trace_command(CLI::App& app);
/// Subcommands of trace.
void add_trace_fit(CLI::App& trace);
void add_trace_score(CLI::App& trace);
void add_model_command(CLI::App& app);
void add_list_command(CLI::App& app);
void add_machine_command(CLI::App& app);
/// Of machine, and of specmoe-calibrate.
void add_detect_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_validate_command(CLI::App& app);

}  // namespace specmoe
