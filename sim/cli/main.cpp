// The only place that prints and exits: results on stdout, progress and errors on stderr. Exit status 0 done,
// 2 the input is wrong, 1 our own fault or a check that does not hold.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"

int main(int argc, char** argv) {
  CLI::App app("SpecMoE: simulates Mixture-of-Experts inference when the experts do not fit in GPU memory",
               "specmoe");
  app.set_version_flag("--version", "specmoe " + specmoe::version());
  app.require_subcommand(1);
  specmoe::add_run_command(app);
  specmoe::add_compare_command(app);
  specmoe::add_study_command(app);
  specmoe::add_whatif_command(app);
  specmoe::add_plan_command(app);
  specmoe::add_explore_command(app);
  specmoe::add_report_command(app);
  specmoe::add_trace_command(app);
  specmoe::add_model_command(app);
  specmoe::add_list_command(app);
  specmoe::add_machine_command(app);
  specmoe::add_bench_command(app);
  specmoe::add_validate_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    specmoe::say(fmt::format("specmoe: {} (see specmoe --help)\n", e.what()));
    return 2;
  } catch (const specmoe::InputError& e) {
    specmoe::say(fmt::format("{}\n", e.what()));
    return 2;
  } catch (const specmoe::CheckFailed& e) {
    specmoe::say(fmt::format("specmoe: {}\n", e.what()));
    return 1;
  } catch (const std::exception& e) {
    if (!std::ferror(stdout)) {
      specmoe::say(fmt::format("specmoe: internal error: {}\n", e.what()));
      return 1;
    }
  }
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return 0;
  specmoe::say("specmoe: standard output cannot be written\n");
  return 1;
}
