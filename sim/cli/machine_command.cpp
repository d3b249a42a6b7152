#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <memory>

#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/detect/detect.hpp"

namespace specmoe {

namespace {

struct Options {
  DetectOptions detect;
  std::string out;
};

// It may stand in platforms/, where nothing is worth less than a guess.
void check_may_write(const std::string& file) {
  std::string first;
  if (std::ifstream in(file); std::getline(in, first) && !first.starts_with(kDetectedHead))
    throw InputError(file, 0, "is there, and detect did not write it", "another --out");
}

void run(Options options) {
  check_may_write(options.out);
  if (!options.out.empty()) options.detect.name = std::filesystem::path(options.out).stem().string();
  const Detected detected = detect(Host::here(), options.detect);
  for (const std::string& note : detected.notes) say(note + "\n");
  if (options.out.empty()) {
    fmt::print("{}", detected.yaml);
    return;
  }
  std::ofstream out(options.out);
  if (!(out << detected.yaml).flush())
    throw InputError(options.out, 0, "cannot be written", "a writable place");
  say(fmt::format("written: {}\n", options.out));
}

}  // namespace

void add_detect_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "detect",
      "Write a platform file of this machine: what it tells, the rest carried over from one like it");
  command->add_option("--out", options->out,
                      "Platform file, e.g. platforms/mine.yaml; default standard output");
  command->add_option("--gpu", options->detect.gpu,
                      "A platform's name: its GPU in this host, whatever GPU is here");
  command->add_option("--index", options->detect.index, "Which of several GPUs, from 0")
      ->check(CLI::Range(0, 1023))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

void add_machine_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("machine", "This machine as a platform");
  command->require_subcommand(1);
  add_detect_command(*command);
}

}  // namespace specmoe
