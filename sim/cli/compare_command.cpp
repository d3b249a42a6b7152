#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <thread>

#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/report/compare_report.hpp"

namespace specmoe {

namespace {

struct Options {
  std::string scenario, out, format = "table";
  CompareOptions compare;
  int jobs = 0;
};

void compare(const Options& options) {
  CompareOptions how = options.compare;
  how.run.out = options.out.empty()
                    ? std::filesystem::path("results") /
                          ("compare-" + std::filesystem::path(options.scenario).stem().string())
                    : std::filesystem::path(options.out);
  how.run.jobs =
      options.jobs > 0 ? options.jobs : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  how.run.say = [](const std::string& line) { say(line + "\n"); };
  const std::vector<ComparedRow> rows = compare_strategies(options.scenario, how);
  const std::filesystem::path csv = how.run.out / "compare.csv";
  std::error_code ignored;
  std::filesystem::create_directories(how.run.out, ignored);
  if (!(std::ofstream(csv) << compare_csv(rows)).flush())
    throw InputError(csv.string(), 0, "cannot be written", "a writable place");
  if (options.format == "csv")
    fmt::print("{}", compare_csv(rows));
  else
    fmt::print("{}As numbers: {}. Per step: results.h5 in the folders beside it.\n", compare_table(rows),
               csv.string());
}

}  // namespace

void add_compare_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "compare",
      "Strategies side by side, with plain LRU of the same bytes, Belady and all experts resident");
  command->add_option("scenario", options->scenario, "A scenario, e.g. scenarios/strategies.yaml")
      ->required();
  command
      ->add_option("--platform", options->compare.platforms,
                   "Names or files of platforms instead of the scenario's")
      ->delimiter(',');
  command
      ->add_option("--share", options->compare.shares,
                   "Caches of these shares of all experts' bytes instead of the scenario's, e.g. 0.1,0.25")
      ->delimiter(',')
      ->check(CLI::Range(0.001, 1.0));
  command->add_option("--strategies", options->compare.strategies, "Some of the scenario's; default all")
      ->delimiter(';');
  command->add_option("--out", options->out,
                      "Folder for compare.csv and each results.h5, which are taken up again if nothing has "
                      "changed; default results/compare-<scenario>");
  command->add_option("--format", options->format, "What to print")
      ->check(CLI::IsMember({"table", "csv"}))
      ->capture_default_str();
  command->add_option("--jobs", options->jobs, "Strategies simulated at a time; default one a core")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  command->callback([options] { compare(*options); });
}

}  // namespace specmoe
