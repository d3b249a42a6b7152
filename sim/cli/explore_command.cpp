#include <fmt/format.h>
#include <spawn.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>

#include "sim/base/build_info.hpp"
#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/try_reading.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/explore/server.hpp"
#include "sim/report/page.hpp"
#include "sim/report/page_data.hpp"

namespace specmoe {

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string file, out;
  int port = 0;
  double limit = 60;
  bool no_open = false;
};

// The file of the scenario that was run; paths in it are relative to where it is.
fs::path untried_scenario_of(const fs::path& results) {
  const H5File file = H5File::open(results);
  if (!file.has("/", "format") || file.get_string("/", "format") != "specmoe-results")
    throw InputError(results.string(), 0, "is no results file",
                     "a scenario, a study, or results.h5 of specmoe run");
  if (!file.has("/", "file"))
    throw InputError(results.string(), 0, "does not tell where its scenario is",
                     "the scenario itself, or results of this version");
  const fs::path scenario = results.parent_path() / file.get_string("/", "file");
  std::error_code ignored;
  if (!fs::is_regular_file(scenario, ignored) ||
      file.read_strings("/scenario") != std::vector{Yaml::load(scenario).source_text()})
    throw InputError(results.string(), 0,
                     fmt::format("{} is not the scenario that was run (another text, or --platform)",
                                 scenario.lexically_normal().string()),
                     "the scenario itself, or results of it as it is now");
  return scenario;
}

fs::path scenario_of(const fs::path& results) {
  try_reading(results, [&] {
    untried_scenario_of(results);
    page_data({results});
  });
  return untried_scenario_of(results);
}

// A page that goes on to the address, readable by its owner alone: arguments of a process are there for all to see.
class Signpost {
 public:
  explicit Signpost(const std::string& url) {
    std::string name = (fs::temp_directory_path() / "specmoe-XXXXXX.html").string();
    const int file = ::mkstemps(name.data(), 5);
    if (file < 0) return;
    path_ = name;
    const std::string text =
        fmt::format("<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={}\">\n", url);
    const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(file);
    std::string program = "xdg-open";
    char* arguments[] = {program.data(), name.data(), nullptr};
    pid_t pid = 0;
    if (written) ::posix_spawnp(&pid, program.c_str(), nullptr, nullptr, arguments, environ);
  }
  Signpost(const Signpost&) = delete;
  Signpost& operator=(const Signpost&) = delete;
  ~Signpost() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove(path_, ignored);
  }

 private:
  fs::path path_;
};

bool has_display() {
  const char *x = std::getenv("DISPLAY"), *wayland = std::getenv("WAYLAND_DISPLAY");
  return (x && *x) || (wayland && *wayland);
}

void explore(const Options& options) {
  // Waited for below; blocked before the server's threads begin, which inherit it.
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGINT);
  ::sigaddset(&ends, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  const bool results = fs::path(options.file).extension() == ".h5";
  const fs::path scenario = results ? scenario_of(options.file) : fs::path(options.file);
  const Study base = Study::base_of(scenario);
  const std::string out =
      options.out.empty() ? (fs::path("results") / ("whatif-" + base.name)).string() : options.out;
  ServerSettings settings;
  settings.port = options.port;
  settings.offer = Offer::of(base);
  settings.page = page_text(results ? std::vector<fs::path>{options.file} : std::vector<fs::path>{},
                            settings.offer.json());
  // Two ask at a time.
  const unsigned jobs = std::max(1u, std::thread::hardware_concurrency() / kMostRunning);
  settings.command = {std::filesystem::read_symlink("/proc/self/exe").string(),
                      "whatif",
                      fs::absolute(scenario).string(),
                      "--format",
                      "json",
                      "--out",
                      out,
                      "--jobs",
                      std::to_string(jobs)};
  settings.limit = std::chrono::milliseconds(static_cast<std::int64_t>(options.limit * 1000));
  const ExploreServer server(std::move(settings));
  fmt::print("{}\n", server.url());
  std::fflush(stdout);
  say("Ctrl-C ends it.\n");
  std::optional<Signpost> signpost;
  if (!options.no_open && has_display()) signpost.emplace(server.url());
  int signal = 0;
  ::sigwait(&ends, &signal);
}

}  // namespace

void add_explore_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "explore",
      "Serve the page on this machine, with sliders: what if the link, the memory, the cache were otherwise");
  command
      ->add_option("file", options->file,
                   "A scenario, a study (its base is explored), or results.h5 of specmoe run")
      ->required();
  command->add_option("--port", options->port, "Of 127.0.0.1; 0 takes a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--limit", options->limit, "Seconds that one answer may take")
      ->check(CLI::Range(0.01, 86'400.0))
      ->capture_default_str();
  command->add_option("--out", options->out,
                      "Folder that keeps what was simulated; default results/whatif-<name of the scenario>");
  command->add_flag("--no-open", options->no_open, "Print the address, and open no browser");
  command->callback([options] { explore(*options); });
}

}  // namespace specmoe
