#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <thread>

#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/report/page.hpp"
#include "sim/report/report.hpp"
#include "sim/results/run.hpp"

namespace specmoe {

namespace {
struct Options {
  std::string scenario;
  std::string platform;
  std::string out;
  std::string timeline;
  std::string picture;
  std::int64_t timeline_steps = 4;
  std::string format = "table";
  bool no_report = false;
  int jobs = 0;
};

// Nothing is simulated for a file that cannot be written, and no input is written over.
void check_outputs(const Options& options, const Scenario& scenario, const std::filesystem::path& out) {
  namespace fs = std::filesystem;
  std::vector<fs::path> taken = scenario.inputs;
  taken.push_back(options.scenario);
  taken.push_back(out / "results.h5");
  if (!options.no_report) taken.push_back(out / "report.html");
  for (const std::string& file : {options.timeline, options.picture}) {
    if (file.empty()) continue;
    for (const fs::path& other : taken)
      if (fs::weakly_canonical(other) == fs::weakly_canonical(file))
        throw InputError(file, 0, "is read or written for something else", "a file of its own");
    taken.push_back(file);
    if (!std::ofstream(file, std::ios::app))
      throw InputError(file, 0, "cannot be written", "a writable place");
  }
  if (fs::is_directory(out / "results.h5"))
    throw InputError((out / "results.h5").string(), 0, "is a folder", "another --out");
}

void run(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const Scenario scenario = Scenario::load(options.scenario, options.platform);
  RunOptions how;
  how.out = options.out.empty() ? std::filesystem::path("results") / scenario.name
                                : std::filesystem::path(options.out);
  how.jobs =
      options.jobs > 0 ? options.jobs : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (!options.timeline.empty()) how.timeline = options.timeline;
  how.timeline_steps = options.timeline_steps;
  const Progress progress;
  how.say = [&](const std::string& line) {
    progress.clear();
    say(line + "\n");
  };
  how.progress = [&](double share) { progress.show("simulating", share); };
  check_outputs(options, scenario, how.out);
  const std::filesystem::path file = run_scenario(scenario, how);
  progress.clear();

  const std::filesystem::path page = how.out / "report.html";
  if (!options.no_report) write_page({file}, page);
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
    if (!options.no_report) fmt::print("Page: {}\n", page.string());
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
  command->add_option("--platform", options->platform, "A platform's name or file instead of the scenario's");
  command->add_option("--out", options->out,
                      "Folder for results.h5 and report.html; default results/<name of the scenario>");
  command->add_option("--format", options->format, "What to print")
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->capture_default_str();
  command->add_option("--timeline", options->timeline,
                      "Also write a timeline in the Chrome trace format, which Perfetto opens");
  command->add_option("--picture", options->picture, "Also draw where a decode step's time goes, as SVG");
  command->add_option("--timeline-steps", options->timeline_steps, "Steps of each run in the timeline")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}))
      ->capture_default_str();
  command->add_flag("--no-report", options->no_report, "Do not write report.html, the page of these results");
  command->add_option("--jobs", options->jobs, "Strategies simulated at a time; default one a core")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  command->callback([options] { run(*options); });
}

}  // namespace specmoe
