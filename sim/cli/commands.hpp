// The subcommands of specmoe: each adds itself to the application.
#pragma once

namespace CLI {
class App;
}

namespace specmoe {

void add_run_command(CLI::App& app);
void add_trace_command(CLI::App& app);
void add_list_command(CLI::App& app);
void add_bench_command(CLI::App& app);

}  // namespace specmoe
