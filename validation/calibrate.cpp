// specmoe-calibrate: measures a real machine and turns what it measured into a platform file. Exit status as specmoe's.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "validation/fit_command.hpp"
#ifdef SPECMOE_CUDA
#include "validation/cuda/commands.hpp"
#endif

int main(int argc, char** argv) {
  CLI::App app("Measures real machines for SpecMoE", "specmoe-calibrate");
  app.set_version_flag("--version", "specmoe " + specmoe::version());
  app.require_subcommand(1);
  specmoe::add_fit_command(app);
  specmoe::add_detect_command(app);
#ifdef SPECMOE_CUDA
  specmoe::cuda::add_commands(app);
#else
  app.footer("Built without a CUDA compiler: measure, run, check and devices are left out.");
#endif
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    fmt::print(stderr, "specmoe-calibrate: {} (see specmoe-calibrate --help)\n", e.what());
    return 2;
  } catch (const specmoe::InputError& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "specmoe-calibrate: {}\n", e.what());
    return 1;
  }
}
