#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "sim/base/input_error.hpp"
#include "sim/base/try_reading.hpp"
#include "sim/cli/commands.hpp"
#include "sim/report/page.hpp"
#include "sim/report/page_data.hpp"

namespace specmoe {

namespace {
struct Options {
  std::vector<std::filesystem::path> files;
  std::string out;
};

void report(const Options& options) {
  namespace fs = std::filesystem;
  const fs::path page =
      options.out.empty() ? options.files.front().parent_path() / "report.html" : fs::path(options.out);
  for (const fs::path& file : options.files)
    if (fs::weakly_canonical(file) == fs::weakly_canonical(page))
      throw InputError(page.string(), 0, "is read", "another --out");
  for (const fs::path& file : options.files) try_reading(file, [&] { page_data({file}); });
  write_page(options.files, page);
  fmt::print("{}\n", page.string());
}
}  // namespace

void add_report_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("report", "One HTML page of results and studies, to be opened in a browser");
  command->add_option("files", options->files, "results.h5 of specmoe run, study.h5 of specmoe study")
      ->required();
  command->add_option("--out", options->out, "The page; default report.html beside the first file");
  command->callback([options] { report(*options); });
}

}  // namespace specmoe
