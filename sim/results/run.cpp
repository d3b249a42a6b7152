#include "sim/results/run.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>

#include "sim/base/build_info.hpp"
#include "sim/base/file_lock.hpp"
#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "sim/results/fingerprint.hpp"
#include "sim/results/recorder.hpp"
#include "sim/results/timeline.hpp"

namespace specmoe {
namespace {

namespace fs = std::filesystem;

// Counts the steps that children have ended; in memory that they share with us.
class SharedCount {
 public:
  SharedCount()
      : memory_(::mmap(nullptr, sizeof(std::atomic<std::int64_t>), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    new (memory_) std::atomic<std::int64_t>(0);
  }
  SharedCount(const SharedCount&) = delete;
  SharedCount& operator=(const SharedCount&) = delete;
  ~SharedCount() { ::munmap(memory_, sizeof(std::atomic<std::int64_t>)); }
  std::atomic<std::int64_t>& operator*() const { return *static_cast<std::atomic<std::int64_t>*>(memory_); }

 private:
  void* memory_;
};

// One run at a time writes to a folder; the lock ends with the process, however it ends.
class Lock {
 public:
  explicit Lock(const fs::path& folder)
      : file_(::open((folder / "parts/lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644)) {
    if (file_ < 0) throw InputError(folder.string(), 0, "cannot be written", "a writable place");
    if (!lock_file(file_))
      throw InputError(folder.string(), 0, "another run is writing here", "its end, or another --out");
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { ::close(file_); }

 private:
  int file_;
};

class CountingRecorder : public Recorder {
 public:
  CountingRecorder(const fs::path& file, const Scenario& scenario, const Strategy& strategy,
                   Timeline* timeline, std::atomic<std::int64_t>& steps)
      : Recorder(file, scenario, strategy, timeline), steps_(steps) {}
  void step_ended(const StepRecord& step) override {
    check_step_laws(step);
    Recorder::step_ended(step);
    ++steps_;
  }

 private:
  std::atomic<std::int64_t>& steps_;
};

bool is_complete(const fs::path& part, const std::string& print) {
  try {
    return fs::exists(part) && H5File::open(part).get_string("/", "fingerprint") == print;
  } catch (const InputError&) {
    return false;
  }
}

void simulate_strategy(const Scenario& scenario, const Strategy& strategy, const fs::path& part,
                       const std::string& print, Timeline* timeline, std::atomic<std::int64_t>& steps) {
  const fs::path unfinished = part.string() + ".unfinished";
  {
    CountingRecorder recorder(unfinished, scenario, strategy, timeline, steps);
    const auto source = scenario.routing.open();
    const SimulationEnd end = simulate(
        scenario.platform,
        [&](Machine& machine) {
          run_engine(machine, scenario.model, *source, scenario.workload, strategy.settings, recorder);
        },
        &recorder);
    recorder.finish(end);
  }
  H5File::modify(unfinished).set("/", "fingerprint", print);
  fs::rename(unfinished, part);
}

void join(const Scenario& scenario, const std::string& print, const std::vector<fs::path>& parts,
          const fs::path& file) {
  const fs::path unfinished = file.string() + ".unfinished";
  {
    H5File out = H5File::create(unfinished);
    out.set("/", "format", "specmoe-results");
    out.set("/", "version", std::int64_t{1});
    out.set("/", "specmoe", version());
    out.set("/", "simgrid", simgrid_version());
    out.set("/", "scenario", scenario.name);
    out.set("/", "description", scenario.description);
    out.set("/", "file", fs::proximate(scenario.file, file.parent_path()).string());
    out.set("/", "platform", scenario.platform.name);
    out.set("/", "model", scenario.model.name);
    out.set("/", "routing", scenario.routing.open()->description());
    out.set("/", "seed", static_cast<std::int64_t>(scenario.seed));
    out.set("/", "fingerprint", print);
    out.write_strings("/scenario", {scenario.text});
    out.write_strings("/notes", scenario.notes);
    std::vector<std::string> unverified;
    for (const Provenance& p : scenario.platform.provenance)
      if (p.unverified) unverified.push_back(fmt::format("{}: {} ({})", p.path, p.value, p.source));
    out.write_strings("/unverified", unverified);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::string group = "/runs/" + scenario.strategies[i].name;
      out.copy_from(H5File::open(parts[i]), "/", group);
      out.remove(group, "fingerprint");
      out.set(group, "position", static_cast<std::int64_t>(i));
    }
  }
  fs::rename(unfinished, file);
}

}  // namespace

fs::path run_scenario(const Scenario& scenario, const RunOptions& options) {
  const fs::path parts_folder = options.out / "parts";
  std::error_code error;
  fs::create_directories(parts_folder, error);
  if (error)
    throw InputError(options.out.string(), 0, "cannot be made: " + error.message(), "a writable place");

  const Lock lock(options.out);
  const std::string print = fingerprint(scenario);
  if (options.reuse && is_complete(options.out / "results.h5", print)) {
    fs::remove_all(parts_folder);
    return options.out / "results.h5";
  }
  const SharedCount steps;
  std::vector<fs::path> parts, fragments;
  std::vector<IsolatedWork> works;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < scenario.strategies.size(); ++i) {
    const Strategy& strategy = scenario.strategies[i];
    const fs::path part = parts.emplace_back(parts_folder / fmt::format("{}.h5", i));
    const fs::path fragment = fragments.emplace_back(parts_folder / fmt::format("{}.timeline", i));
    if (is_complete(part, print + strategy.name) && (!options.timeline || fs::exists(fragment))) {
      if (options.say) options.say(strategy.name + ": already simulated");
      continue;
    }
    names.push_back(strategy.name);
    works.push_back([&, i, part, fragment] {
      std::optional<Timeline> timeline;
      if (options.timeline)
        timeline.emplace(fragment, scenario.platform, static_cast<int>(i), scenario.strategies[i].name,
                         options.timeline_steps);
      simulate_strategy(scenario, scenario.strategies[i], part, print + scenario.strategies[i].name,
                        timeline ? &*timeline : nullptr, *steps);
      return std::string();
    });
  }
  const auto all_steps = static_cast<double>(scenario.peak.steps) * static_cast<double>(works.size());
  run_isolated(
      works, options.jobs,
      [&](std::size_t i) {
        if (options.say) options.say(names[i] + ": simulated");
      },
      [&] {
        if (options.progress && all_steps > 0)
          options.progress(static_cast<double>((*steps).load()) / all_steps);
      });

  const fs::path file = options.out / "results.h5";
  join(scenario, print, parts, file);
  if (options.timeline) join_timelines(fragments, *options.timeline);
  fs::remove_all(parts_folder);
  return file;
}

}  // namespace specmoe
