#include "validation/calibration/runs.hpp"

#include <algorithm>
#include <utility>

#include "sim/base/build_info.hpp"
#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/try_reading.hpp"

namespace specmoe {

namespace {

constexpr const char* kFormat = "specmoe-runs";
constexpr std::int64_t kVersion = 1;

// The whole-number columns of a step.
constexpr std::pair<const char*, std::int64_t RunStep::*> kCounts[] = {
    {"prefill", &RunStep::prefill},
    {"sequences", &RunStep::sequences},
    {"tokens", &RunStep::tokens},
    {"accesses", &RunStep::accesses},
    {"hits", &RunStep::hits},
    {"misses", &RunStep::misses},
    {"issued", &RunStep::issued},
    {"demand_bytes", &RunStep::demand_bytes},
    {"prefetch_bytes", &RunStep::prefetch_bytes},
};
constexpr std::pair<const char*, double RunStep::*> kTimes[] = {{"duration", &RunStep::duration},
                                                                {"expert_wait", &RunStep::expert_wait}};

std::string path_of(const char* column) { return std::string("/step/") + column; }

}  // namespace

void RunTable::write(const std::filesystem::path& name) const {
  H5File file = H5File::create(name);
  file.set("/", "format", kFormat);
  file.set("/", "version", kVersion);
  file.set("/", "specmoe", version());
  write_about(file, about);
  std::vector<std::string> names;
  std::vector<std::int64_t> copied, run, repeat, probed_run, probed_repeat;
  std::vector<double> launch, copy;
  std::vector<const RunStep*> steps;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    names.push_back(runs[i].name);
    copied.push_back(runs[i].copied);
    for (std::size_t j = 0; j < runs[i].repeats.size(); ++j)
      for (const RunStep& step : runs[i].repeats[j]) {
        run.push_back(static_cast<std::int64_t>(i));
        repeat.push_back(static_cast<std::int64_t>(j));
        steps.push_back(&step);
      }
    for (std::size_t j = 0; j < runs[i].hosts.size(); ++j) {
      probed_run.push_back(static_cast<std::int64_t>(i));
      probed_repeat.push_back(static_cast<std::int64_t>(j));
      launch.push_back(runs[i].hosts[j].launch);
      copy.push_back(runs[i].hosts[j].copy);
    }
  }
  file.write_strings("/run/name", names);
  file.write("/run/copied", copied);
  file.write("/step/run", run);
  file.write("/step/repeat", repeat);
  const auto column = [&](const char* path, auto member) {
    std::vector<std::decay_t<decltype(steps[0]->*member)>> data;
    for (const RunStep* step : steps) data.push_back(step->*member);
    file.write(path_of(path), data);
  };
  for (const auto& [path, member] : kCounts) column(path, member);
  for (const auto& [path, member] : kTimes) column(path, member);
  file.write("/host/run", probed_run);
  file.write("/host/repeat", probed_repeat);
  file.write("/host/launch", launch);
  file.write("/host/copy", copy);
  file.flush();
}

// Of a run every repeat was probed, or none.
static void read_hosts(const H5File& file, RunTable& table) {
  if (!file.exists("/host")) return;
  const auto run = file.read<std::int64_t>("/host/run"), repeat = file.read<std::int64_t>("/host/repeat");
  const auto launch = file.read<double>("/host/launch"), copy = file.read<double>("/host/copy");
  const auto fail = [&](const std::string& what) {
    throw InputError(file.name(), 0, "/host: " + what, "a probe for each repeat of a run, in their order");
  };
  if (repeat.size() != run.size() || launch.size() != run.size() || copy.size() != run.size())
    fail("columns of different length");
  for (std::size_t i = 0; i < run.size(); ++i) {
    if (run[i] < 0 || run[i] >= static_cast<std::int64_t>(table.runs.size())) fail("a run that is not there");
    std::vector<HostState>& hosts = table.runs[static_cast<std::size_t>(run[i])].hosts;
    if (repeat[i] != static_cast<std::int64_t>(hosts.size())) fail("a repeat that is not the next");
    if (!(launch[i] > 0) || !(copy[i] >= 0)) fail("a time that is not above 0");
    hosts.push_back({launch[i], copy[i]});
  }
  for (const EngineRun& each : table.runs)
    if (!each.hosts.empty() && each.hosts.size() != each.repeats.size())
      fail(each.name + ": another number than its repeats");
}

RunTable RunTable::read(const std::filesystem::path& name) {
  try_reading(name, [&] { read_untried(name); });
  return read_untried(name);
}

RunTable RunTable::read_untried(const std::filesystem::path& name) {
  const H5File file = H5File::open(name);
  if (!file.has("/", "format") || file.get_string("/", "format") != kFormat)
    throw InputError(file.name(), 0, "not a file of runs", "what specmoe-calibrate run writes");
  if (const std::int64_t found = file.has("/", "version") ? file.get_integer("/", "version") : kVersion;
      found != kVersion)
    throw InputError(file.name(), 0, "version " + std::to_string(found),
                     "version " + std::to_string(kVersion));
  RunTable table;
  table.about = read_about(file);
  const auto copied = file.read<std::int64_t>("/run/copied");
  for (const std::string& run : file.read_strings("/run/name")) table.runs.push_back({run, 0, {}});
  const auto run = file.read<std::int64_t>("/step/run"), repeat = file.read<std::int64_t>("/step/repeat");
  std::vector<RunStep> steps(run.size());
  const auto column = [&](const char* path, auto member) {
    const auto data = file.read<std::decay_t<decltype(steps[0].*member)>>(path_of(path));
    if (data.size() != steps.size())
      throw InputError(file.name(), 0, path_of(path) + ": another length than /step/run",
                       "a value for each step");
    for (std::size_t i = 0; i < data.size(); ++i) steps[i].*member = data[i];
  };
  for (const auto& [path, member] : kCounts) column(path, member);
  for (const auto& [path, member] : kTimes) column(path, member);
  const auto runs = static_cast<std::int64_t>(table.runs.size());
  if (static_cast<std::int64_t>(copied.size()) != runs || repeat.size() != run.size())
    throw InputError(file.name(), 0, "columns of different length", "a value for each run and step");
  for (std::size_t i = 0; i < run.size(); ++i) {
    if (run[i] < 0 || run[i] >= runs || repeat[i] < 0 || repeat[i] > 1000)
      throw InputError(file.name(), 0, "/step: a run or repeat that is not there", "one of /run");
    auto& repeats = table.runs[static_cast<std::size_t>(run[i])].repeats;
    repeats.resize(std::max(repeats.size(), static_cast<std::size_t>(repeat[i]) + 1));
    repeats[static_cast<std::size_t>(repeat[i])].push_back(steps[i]);
  }
  for (std::size_t i = 0; i < copied.size(); ++i) table.runs[i].copied = copied[i];
  read_hosts(file, table);
  return table;
}

void StepCollector::step_ended(const StepRecord& step) {
  const Counters& c = step.counters;
  steps.push_back({step.prefill, step.sequences, step.tokens, c.accesses, c.hits, c.misses, c.issued,
                   c.demand_bytes.count, c.prefetch_bytes.count, step.duration().value,
                   step.expert_wait.value});
}

std::vector<RunStep> run_steps(Machine& machine, const Scenario& scenario, const Strategy& strategy) {
  StepCollector collector;
  const auto source = scenario.routing.open();
  run_engine(machine, scenario.model, *source, scenario.workload, strategy.settings, collector);
  return collector.steps;
}

std::vector<std::filesystem::path> validation_scenarios() {
  std::vector<std::filesystem::path> files;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(home() / "validation/runs", ignored))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace specmoe
