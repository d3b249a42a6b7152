#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <thread>

#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "sim/report/report.hpp"
#include "sim/results/run.hpp"

namespace specmoe {

namespace {
struct Options {
  std::string scenario;
  std::string out;
  std::string timeline;
  std::string picture;
  std::int64_t timeline_steps = 4;
  std::string format = "table";
  int jobs = 0;
};

void run(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const Scenario scenario = Scenario::load(options.scenario);
  RunOptions how;
  how.out = options.out.empty() ? std::filesystem::path("results") / scenario.name
                                : std::filesystem::path(options.out);
  how.jobs =
      options.jobs > 0 ? options.jobs : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (!options.timeline.empty()) how.timeline = options.timeline;
  how.timeline_steps = options.timeline_steps;
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  how.say = [&](const std::string& line) { fmt::print(stderr, "{}{}\n", terminal ? "\r\033[K" : "", line); };
  if (terminal)
    how.progress = [&](double share) {
      const double gone = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      fmt::print(stderr, "\r\033[K{:.0f} % of the steps, {:.0f} s left", share * 100,
                 share > 0 ? gone / share - gone : 0);
    };
  const std::filesystem::path file = run_scenario(scenario, how);
  if (terminal) fmt::print(stderr, "\r\033[K");

  const ResultsOverview overview = ResultsOverview::read(file);
  if (!options.picture.empty()) {
    std::ofstream out(options.picture);
    if (!(out << as_svg(overview)).flush())
      throw InputError(options.picture, 0, "cannot be written", "a writable place");
  }
  if (options.format == "json") fmt::print("{}", as_json(overview));
  if (options.format == "csv") fmt::print("{}", as_csv(overview));
  if (options.format == "table") {
    const double gone = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double simulated = 0;
    for (const auto& [name, summary] : overview.runs) simulated += summary.total_time;
    fmt::print("{}\n{:.1f} s simulated in {:.1f} s. Per step and per layer: {}\n", console_table(overview),
               simulated, gone, file.string());
    if (!options.picture.empty()) fmt::print("Picture: {}\n", options.picture);
    if (how.timeline) fmt::print("Timeline, for https://ui.perfetto.dev: {}\n", how.timeline->string());
  }
}
}  // namespace

void add_run_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("run", "Simulate a scenario file");
  command->add_option("scenario", options->scenario, "A scenario, e.g. scenarios/quickstart.yaml")
      ->required();
  command->add_option("--out", options->out, "Folder for results.h5; default results/<name of the scenario>");
  command->add_option("--format", options->format, "What to print")
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->capture_default_str();
  command->add_option("--timeline", options->timeline,
                      "Also write a timeline in the Chrome trace format, which Perfetto opens");
  command->add_option("--picture", options->picture, "Also draw where a decode step's time goes, as SVG");
  command->add_option("--timeline-steps", options->timeline_steps, "Steps of each run in the timeline")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--jobs", options->jobs, "Strategies simulated at a time; default one a core")
      ->check(CLI::PositiveNumber);
  command->callback([options] { run(*options); });
}

}  // namespace specmoe
