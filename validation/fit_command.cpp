#include "validation/fit_command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <memory>

#include "sim/base/input_error.hpp"
#include "validation/calibration/fit.hpp"
#include "validation/calibration/fit_page.hpp"

namespace specmoe {

namespace {

struct Options {
  std::string measurements, out, name, description, page;
};

void write_text(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  if (!(out << text).flush()) throw InputError(file, 0, "cannot be written", "a writable place");
}

void fit(const Options& options) {
  const Measurement measurement = Measurement::read(options.measurements);
  FitOptions how;
  how.name = options.name.empty() ? std::filesystem::path(options.out).stem().string() : options.name;
  how.description = options.description.empty()
                        ? measurement.text("gpu") + " in the machine that was measured"
                        : options.description;
  how.file = std::filesystem::path(options.measurements).filename().string();
  const Fit fitted = fit_platform(measurement, how);
  write_text(options.out, fitted.yaml);
  if (!options.page.empty()) write_text(options.page, fit_page(measurement, fitted.platform));
  fmt::print("{}: {} numbers from {}\n", options.out, fitted.platform.provenance.size(),
             options.measurements);
  if (!options.page.empty()) fmt::print("Pictures of the fits: {}\n", options.page);
}

}  // namespace

void add_fit_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("fit", "Turn measurements into a platform file");
  command->add_option("measurements", options->measurements, "What measure wrote, e.g. my-gpu.h5")
      ->required();
  command->add_option("--out", options->out, "Platform file, e.g. platforms/my-gpu.yaml")->required();
  command->add_option("--name", options->name, "Name of the platform; default that of its file");
  command->add_option("--description", options->description, "A line for users");
  command->add_option("--page", options->page, "Also draw every fit with what it leaves, as one HTML page");
  command->callback([options] { fit(*options); });
}

}  // namespace specmoe
