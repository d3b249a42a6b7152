// The only place that prints and exits: results on stdout, progress and errors on stderr. Exit status 0 done,
// 2 the input is wrong, 1 our own fault.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"

int main(int argc, char** argv) {
  CLI::App app("SpecMoE: simulates Mixture-of-Experts inference when the experts do not fit in GPU memory",
               "specmoe");
  app.set_version_flag("--version", "specmoe " + specmoe::version());
  app.require_subcommand(1);
  specmoe::add_run_command(app);
  specmoe::add_trace_command(app);
  specmoe::add_list_command(app);
  specmoe::add_bench_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    fmt::print(stderr, "specmoe: {} (see specmoe --help)\n", e.what());
    return 2;
  } catch (const specmoe::InputError& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "specmoe: internal error: {}\n", e.what());
    return 1;
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
