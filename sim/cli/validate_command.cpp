// specmoe validate: the simulator beside everything that was measured, here or by others.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/yaml.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "validation/compare/cases.hpp"
#include "validation/compare/page.hpp"
#include "validation/compare/published.hpp"
#include "validation/compare/quoted.hpp"
#include "validation/compare/seed_rules.hpp"
#include "validation/compare/seed_set.hpp"
#include "validation/compare/validate.hpp"

namespace specmoe {

namespace {

struct ValidateOptions {
  std::string page, picture, out, seed_routing, errors;
  /// "" for what was measured; "runs" or "seed" for what others published.
  std::string published;
  std::string tables = published_folder().lexically_normal();
  std::string cases = home() / "validation/published/cases";
  std::string measurements = home() / "validation/measurements";
  std::string bounds = home() / "validation/bounds.yaml";
  std::vector<std::string> machines;
};

// measurements/<machine>.h5, and beside it <machine>_runs.h5 if it ran the engine; sorted.
std::vector<std::filesystem::path> measurement_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(folder))
    throw InputError(folder.string(), 0, "no such folder", "a folder of measurements");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::filesystem::path& file = entry.path();
    if (file.extension() == ".h5" && !file.stem().string().ends_with("_runs")) files.push_back(file);
  }
  std::sort(files.begin(), files.end());
  return files;
}

void append(std::vector<Comparison>& all, const std::vector<Comparison>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

void write_page(const std::string& file, const std::string& page) {
  std::ofstream out(file, std::ios::binary);
  out << page;
  if (!out.flush()) throw InputError(file, 0, "cannot be written", "a file in a folder that can");
}

// What was decided is the same on any platform, and the machine's own repeats are not simulated.
std::vector<Comparison> without_counts(std::vector<Comparison> all) {
  std::erase_if(all, [](const Comparison& c) { return c.kind == "counts" || c.kind == "repeated"; });
  return all;
}

// Those that do not hold, but for bounds without a point whose data were not asked for or are not here.
std::vector<Breach> breaches_of(const std::vector<ErrorSummary>& summaries, const std::vector<Bound>& bounds,
                                const ValidateOptions& options) {
  std::vector<Breach> all = check(summaries, bounds);
  const bool tables = std::filesystem::is_directory(options.tables);
  std::erase_if(all, [&](const Breach& breach) {
    return !breach.summary && (!options.machines.empty() || (breach.bound.kind == "published" && !tables));
  });
  return all;
}

// The seed's claims beside what its rules and an engine give.
void validate_seed(const ValidateOptions& options) {
  const int jobs = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const SeedSet set = compare_seed(home() / "validation/published/seed.yaml", jobs, say);
  fmt::print("{}", seed_table(set));
  if (!options.out.empty()) write_seed_csv(set, options.out);
  const std::vector<std::string> breaches = seed_breaches(set);
  for (const std::string& breach : breaches) say(breach + "\n");
  if (!breaches.empty())
    throw CheckFailed(
        fmt::format("{} of the seed's {} claims are not reproduced", breaches.size(), set.rows.size()));
}

std::vector<std::filesystem::path> case_files(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  if (error || files.empty())
    throw InputError(folder.string(), 0, "no published runs there", "a folder of cases, *.yaml");
  std::sort(files.begin(), files.end());
  return files;
}

// Engines that others ran, simulated. Not an error as long as half of the rows are within what was asked for.
void validate_runs(const ValidateOptions& options) {
  constexpr double kAsked = 0.15;
  const int jobs = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<PublishedCase> cases;
  for (const std::filesystem::path& file : case_files(options.cases))
    cases.push_back(PublishedCase::load(file));
  for (PublishedCase& each : cases) simulate_case(each, jobs, say);
  fmt::print("{}", cases_table(cases));
  if (!options.out.empty()) write_cases_csv(cases, options.out);
  if (!options.picture.empty()) write_page(options.picture, cases_picture(cases));
  const std::vector<CaseErrors> errors = case_errors(cases);
  if (!options.errors.empty()) write_page(options.errors, errors_yaml(errors));
  if (!errors.empty() && errors.back().median > kAsked)
    throw CheckFailed(fmt::format("the median error of published rows is {:.1f} %; asked: at most {:.0f} %",
                                  100 * errors.back().median, 100 * kAsked));
}

void validate(const ValidateOptions& options) {
  if (!options.seed_routing.empty()) return write_seed_routing(options.seed_routing);
  if (options.published == "seed") return validate_seed(options);
  if (options.published == "runs") return validate_runs(options);
  if (options.tables != "nowhere" && options.tables != ValidateOptions{}.tables &&
      !std::filesystem::is_directory(options.tables))
    throw InputError("--tables", 0, fmt::format("\"{}\"", options.tables),
                     "a folder of published kernel times, or nowhere");
  const std::vector<Bound> bounds = read_bounds(Yaml::load(options.bounds));
  std::vector<std::string> unknown = options.machines;
  const auto wanted = [&](const std::string& machine) {
    std::erase(unknown, machine);
    return options.machines.empty() ||
           std::find(options.machines.begin(), options.machines.end(), machine) != options.machines.end();
  };
  std::vector<Comparison> all;
  std::vector<std::string> measured, notes, real;
  std::optional<std::pair<std::string, Platform>> before;  // the machine measured before this one
  for (const std::filesystem::path& file : measurement_files(options.measurements)) {
    const std::string machine = file.stem();
    const Measurement measurement = Measurement::read(file);
    measured.push_back(measurement.text("platform"));
    real.push_back(machine);
    if (!wanted(machine)) continue;
    say(fmt::format("{}: comparing with {}\n", file.string(), measured.back()));
    const std::filesystem::path runs_file = file.parent_path() / (machine + "_runs.h5");
    std::optional<RunTable> runs;
    if (std::filesystem::exists(runs_file)) runs = RunTable::read(runs_file);
    const RunTable* table = runs ? &*runs : nullptr;
    if (table)
      for (const std::string& name : runs_without_scenario(*table))
        notes.push_back(
            fmt::format("{}: {} is not scored: validation/runs has no such run", runs_file.string(), name));
    const Platform platform = Platform::load(measured.back());
    append(all, compare_measured(platform, machine, measurement, table));
    append(all, compare_unseen_models(machine + ", unseen models", measurement, table));
    if (before)
      append(all, without_counts(compare_measured(with_datasheet_of(before->second, platform),
                                                  fmt::format("{} from {}", machine, before->first),
                                                  measurement, table)));
    before = {machine, platform};
  }
  if (!std::filesystem::is_directory(options.tables))
    notes.push_back(fmt::format("published kernel times: not here (looked in {})", options.tables));
  std::vector<std::string> without_points;
  for (const std::string& platform : platform_names()) {
    if (std::find(measured.begin(), measured.end(), platform) != measured.end() || !wanted(platform))
      continue;
    const std::size_t size = all.size();
    append(all, compare_published(platform, options.tables));
    append(all, compare_quoted(platform, home() / "validation/published/figures.yaml"));
    if (all.size() == size)
      without_points.push_back(platform);
    else
      notes.push_back(fmt::format("{}: not measured here; {} published points", platform, all.size() - size));
  }
  if (!without_points.empty())
    notes.push_back(fmt::format("not measured here, and nothing published to compare with: {}",
                                fmt::join(without_points, ", ")));
  if (!unknown.empty())
    throw InputError(
        "--machine", 0, fmt::format("\"{}\"", unknown.front()),
        "a file of " + options.measurements + " without .h5, or a platform that was not measured");

  const std::vector<ErrorSummary> summaries = summarize(all);
  fmt::print("{}", summary_table(summaries, bounds));
  for (const std::string& note : notes) fmt::print("{}\n", note);
  if (!options.out.empty()) write_comparisons(all, options.out);
  if (!options.picture.empty()) write_page(options.picture, validation_picture(all, real));
  if (!options.page.empty())
    write_page(options.page,
               validation_page(all, summaries, bounds, "SpecMoE: simulated against measured", notes));
  const std::vector<Breach> breaches = breaches_of(summaries, bounds, options);
  for (const Breach& breach : breaches) say(breach.text() + "\n");
  if (!breaches.empty())
    throw CheckFailed(fmt::format("{} of {} bounds do not hold", breaches.size(), bounds.size()));
}

}  // namespace

void add_validate_command(CLI::App& app) {
  auto options = std::make_shared<ValidateOptions>();
  CLI::App* command = app.add_subcommand(
      "validate", "How far the simulator is from what was measured; exit status 1 if further than it may be");
  command->add_option("--page", options->page, "Also write a page with pictures");
  command->add_option("--picture", options->picture,
                      "Also draw the steps of whole runs, as SVG; with --published, those");
  command->add_option("--out", options->out, "Also write every point (HDF5)");
  command->add_option("--machine", options->machines,
                      "Only these: a measured machine, or a platform that was not measured");
  command
      ->add_option(
          "--published", options->published,
          "Instead: whole runs that others published, simulated (--out: CSV); or seed: the claims of the "
          "system that this one rebuilds, beside what its rules and an engine give (--out: CSV)")
      ->expected(0, 1)
      ->default_str("runs")
      ->check(CLI::IsMember({"runs", "seed"}));
  command->add_option("--cases", options->cases, "Folder of the published runs")->capture_default_str();
  command->add_option("--errors", options->errors,
                      "With --published: also write how far off each class is, for `specmoe plan`");
  command->add_option("--tables", options->tables, "Folder of the published kernel times, or nowhere")
      ->capture_default_str();
  command->add_option("--measurements", options->measurements, "Folder of what was measured here")
      ->capture_default_str();
  command->add_option("--bounds", options->bounds, "How far it may be off")->capture_default_str();
  command->add_option("--write-seed-routing", options->seed_routing,
                      "Only write the routing of validation/published/seed into this folder");
  command->callback([options] { validate(*options); });
}

}  // namespace specmoe
