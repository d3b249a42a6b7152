#include <CLI/CLI.hpp>
#include <memory>
#include <thread>

#include "sim/cli/commands.hpp"
#include "sim/cli/run_study.hpp"

namespace specmoe {

void add_study_command(CLI::App& app) {
  auto options = std::make_shared<StudyCommand>();
  auto jobs = std::make_shared<int>(std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
  CLI::App* command = app.add_subcommand(
      "study", "Simulate every point of a study file: grids of scenarios, with replications");
  add_study_options(*command, *options);
  command->add_option("--jobs", *jobs, "Simulations at a time")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->callback([options, jobs] { run_study(*options, on_this_machine(*jobs)); });
}

}  // namespace specmoe
