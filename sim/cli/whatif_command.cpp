#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <thread>

#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/report/page.hpp"
#include "sim/study/collect.hpp"
#include "sim/study/whatif.hpp"

namespace specmoe {

namespace {

struct Options {
  std::string scenario, out, writer = "study", strategy, against, path, format = "table";
  std::vector<std::string> changes, of, between;
  bool sensitivity = false;
  double factor = 1.25, tolerance = 0.01;
  std::int64_t replications = 1;
  int jobs = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
};

void run(const Options& options) {
  Study base = Study::base_of(options.scenario);
  base.replications = options.replications;
  const bool json = options.format == "json";
  std::vector<Edit> edits;
  for (const std::string& change : options.changes) edits.push_back(parse_edit(change));
  const Progress progress;
  StudyOptions how;
  how.out = options.out.empty() ? std::filesystem::path("results") / ("whatif-" + base.name)
                                : std::filesystem::path(options.out);
  how.writer = options.writer;
  how.progress = [&](double share) { progress.show("simulating", share); };
  const Asking asking(base, how, on_this_machine(options.jobs));

  if (json && (options.sensitivity || !options.path.empty()))
    throw InputError("--format json", 0, "beside --sensitivity or --break-even", "--set, or the base alone");
  if (!options.path.empty()) {
    if (options.between.size() != 2 || options.strategy.empty() || options.against.empty())
      throw InputError("--break-even", 0, "without --between, --strategy or --against",
                       "all three: between which values, and who against whom");
    if (!edits.empty())
      throw InputError("--set", 0, "beside --break-even", "a scenario file with the change in it");
    const auto bound = [&](std::size_t i) { return Yaml::parse(options.between[i], "--between"); };
    const BreakEven found = break_even(asking, options.path, bound(0), bound(1), options.strategy,
                                       options.against, options.tolerance);
    progress.clear();
    fmt::print("{} over {}, decoded tokens a second: {:.3f} at {}, {:.3f} at {}\n", options.strategy,
               options.against, found.at_low, options.between[0], found.at_high, options.between[1]);
    if (found.at)
      fmt::print("equal at {} = {:.4g}{} (within {:g} %, {} values tried)\n", options.path, *found.at,
                 found.unit, options.tolerance * 100, found.asked);
    else
      fmt::print("no break-even between them: {} is the faster at both\n",
                 found.at_low > 1 ? options.strategy : options.against);
    return;
  }
  Axis axis{"what if", "", {{"as it is", NAN, {}}}, true};
  std::vector<std::string> left_out;
  if (options.sensitivity) {
    if (!edits.empty())
      throw InputError("--set", 0, "beside --sensitivity", "a scenario file with the change in it");
    axis = sensitivity_axis(base, options.of.empty() ? sensitivity_paths(base) : options.of, options.factor,
                            left_out);
    if (axis.values.size() == 1)
      throw InputError("--of", 0, left_out.empty() ? "nothing to change" : left_out.front());
  } else {
    if (edits.empty() && !json)
      throw InputError("specmoe whatif", 0, "no question",
                       "--set PATH=VALUE, --sensitivity or --break-even PATH");
    if (!edits.empty())
      axis.values.push_back({fmt::format("{}", fmt::join(options.changes, ", ")), NAN, edits});
  }
  const Asking::Answer answer = asking.ask(std::move(axis));
  progress.clear();
  if (json) {
    fmt::print("{}", answer_json(answer));
  } else if (options.sensitivity) {
    fmt::print("{}", tornado_table(answer));
    for (const std::string& each : left_out) fmt::print("left out: {}\n", each);
    collect(answer.study, answer.plan, Journal(how.out / "journal", how.writer), how.out);
    write_page({how.out / "study.h5"}, how.out / "report.html");
    fmt::print("\nPage: {}\n", (how.out / "report.html").string());
  } else {
    fmt::print("{}", study_table(answer.study, answer.plan, answer.cells, answer.cells.size()));
  }
}

}  // namespace

void add_whatif_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("whatif", "Ask a scenario what would be otherwise if something else were");
  command
      ->add_option("scenario", options->scenario,
                   "A scenario, e.g. scenarios/quickstart.yaml, or a study, for its base")
      ->required();
  command
      ->add_option(
          "--set", options->changes,
          "PATH=VALUE: a key of the scenario, or below platform. or model.; \"x2\" doubles what is there")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--sensitivity", options->sensitivity, "Which parameter moves TPOT most");
  command->add_option("--of", options->of, "Paths to change one at a time; default all of the machine's");
  command->add_option("--factor", options->factor, "By which each is multiplied and divided")
      ->check(CLI::Range(1.001, 1000.0))
      ->capture_default_str();
  command->add_option("--break-even", options->path,
                      "Which value of this path makes two strategies equally fast");
  command->add_option("--between", options->between, "Two values of it, with units")->expected(2);
  command->add_option("--strategy", options->strategy, "Of --break-even");
  command->add_option("--against", options->against, "Likewise, the other one");
  command->add_option("--tolerance", options->tolerance, "Of the break-even value, as a share")
      ->check(CLI::Range(1e-6, 0.5))
      ->capture_default_str();
  command->add_option("--replications", options->replications, "Seeds from the scenario's on")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100'000}))
      ->capture_default_str();
  command->add_option("--out", options->out,
                      "Folder that keeps what was simulated; default results/whatif-<name of the scenario>");
  command
      ->add_option("--writer", options->writer, "A name of its own for each of several that share a folder")
      ->check(CLI::Validator(
          [](const std::string& name) {
            return name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") !=
                                       std::string::npos
                       ? std::string("a-z, 0-9 and - only")
                       : std::string();
          },
          "NAME"))
      ->capture_default_str();
  command
      ->add_option("--format", options->format,
                   "What to print; json: --set's answer, or without it the base alone")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  command->add_option("--jobs", options->jobs, "Simulations at a time")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace specmoe
