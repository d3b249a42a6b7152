#include "sim/cli/run_study.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <sstream>

#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/report/page.hpp"
#include "sim/study/collect.hpp"

namespace specmoe {

void add_study_options(CLI::App& app, StudyCommand& command) {
  app.add_option("study", command.study, "A study, e.g. scenarios/studies/seed-strategies.yaml")->required();
  app.add_option("--out", command.out,
                 "Folder for study.h5 and runs.csv; default results/<name of the study>");
  app.add_option("--shard", command.shard, "i/n: only every n-th run, from the i-th on, for job arrays");
  app.add_flag("--plan", command.plan_only, "Only check every point and count runs");
  app.add_flag("--no-report", command.no_report, "Do not write report.html, the page of the study");
  app.add_flag("--pareto", command.pareto, "Also print who is fastest for its memory, energy and price");
  app.add_option("--rows", command.rows, "Cells in the table")->capture_default_str();
}

void run_study(const StudyCommand& options, const Distribute& distribute) {
  const auto start = std::chrono::steady_clock::now();
  const auto gone = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const Study study = Study::load(options.study);
  const Progress progress;
  const Plan plan = Plan::make(study, [&](double share) { progress.show("checking", share); });
  progress.clear();
  StudyOptions how;
  how.out = options.out.empty() ? std::filesystem::path("results") / study.name
                                : std::filesystem::path(options.out);
  if (!options.shard.empty()) {
    char slash = 0;
    std::istringstream text(options.shard);
    if (!(text >> how.shard >> slash >> how.shards) || slash != '/' || !text.eof() || how.shard < 0 ||
        how.shards < 1 || how.shard >= how.shards)
      throw InputError("--shard " + options.shard, 0, "no shard", "i/n with i from 0 to n - 1, e.g. 0/16");
  }
  how.say = [&](const std::string& line) {
    progress.clear();
    say(line + "\n");
  };
  how.progress = [&](double share) { progress.show("simulating", share); };
  say(fmt::format("{}: {} points, {} cells, {} runs\n", study.name, plan.points.size(), plan.cells.size(),
                  plan.runs.size()));
  if (options.plan_only) return;
  const StudyOutcome outcome = conduct(study, plan, distribute, how);
  progress.clear();
  for (const std::string& failure : outcome.failures) say(failure + "\n");
  if (!outcome.failures.empty())
    throw CheckFailed(
        fmt::format("{} of {} runs failed; what ended is kept, and the same command goes on from there",
                    outcome.failures.size(), outcome.runs));
  if (!options.shard.empty()) {
    fmt::print("{} runs of this shard are done in {}; specmoe study without --shard collects all shards\n",
               outcome.runs, how.out.string());
    return;
  }
  const auto cells = collect(study, plan, Journal(how.out / "journal", "study"), how.out);
  const double took = gone();
  if (!options.no_report) write_page({how.out / "study.h5"}, how.out / "report.html");
  fmt::print("{}{}\n{} runs ({} simulated now) in {:.1f} s. In {}: study.h5, runs.csv{}\n",
             study_table(study, plan, cells, options.rows),
             options.pareto ? pareto_table(study, plan, cells) : "", outcome.runs, outcome.simulated, took,
             how.out.string(), options.no_report ? "" : ", report.html");
}

}  // namespace specmoe
