// specmoe-train: trains networks that predict experts, judges them beside the baselines, and writes what they predict.
// Results on stdout, progress on stderr. Exit status as specmoe's.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/train/commands.hpp"

int main(int argc, char** argv) {
  CLI::App app("Learns to predict the experts of coming layers from a recording of routing", "specmoe-train");
  app.set_version_flag("--version", "specmoe " + specmoe::version());
  app.require_subcommand(1);
  specmoe::add_train_command(app);
  specmoe::add_evaluate_command(app);
  specmoe::add_predict_command(app);
  specmoe::add_networks_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    fmt::print(stderr, "specmoe-train: {} (see specmoe-train --help)\n", e.what());
    return 2;
  } catch (const specmoe::InputError& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "specmoe-train: {}\n", e.what());
    return 1;
  }
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return 0;
  fmt::print(stderr, "specmoe-train: standard output cannot be written\n");
  return 1;
}
