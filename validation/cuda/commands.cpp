#include "validation/cuda/commands.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>

#include "sim/base/input_error.hpp"
#include "validation/calibration/runs.hpp"
#include "validation/cuda/about.hpp"
#include "validation/cuda/experiments.hpp"
#include "validation/cuda/host_probe.hpp"

namespace specmoe::cuda {

namespace {

using Clock = std::chrono::steady_clock;

// On a terminal one line that changes, elsewhere a line for each new thing.
class Progress {
 public:
  void operator()(const std::string& what, double share) {
    const double gone = std::chrono::duration<double>(Clock::now() - start_).count();
    if (::isatty(STDERR_FILENO) == 1)
      fmt::print(stderr, "\r\033[K{:.0f} s: {} {:.0f} %", gone, what, share * 100);
    else if (what != last_)
      fmt::print(stderr, "{:.0f} s: {}\n", gone, what);
    std::fflush(stderr);
    last_ = what;
  }

 private:
  Clock::time_point start_ = Clock::now();
  std::string last_;
};

// The host spins where it waits, and all modules are loaded before anything is timed.
void open_gpu() {
  ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  check(cudaSetDeviceFlags(cudaDeviceScheduleSpin), "cudaSetDeviceFlags");
  check(cudaFree(nullptr), "cudaFree");
}

// Several times any L2 cache, and larger than the largest matrix of a shipped model; an eighth of a small GPU's memory.
Bytes arena_size() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return {std::clamp<std::int64_t>(static_cast<std::int64_t>(free) / 4, 1'500'000'000, 6'500'000'000)};
}

void list_devices() {
  for (const auto& [key, value] : about_machine()) fmt::print("{:<20}{}\n", key, value);
}

struct MeasureOptions {
  std::string out, platform, folder = ".";
  std::vector<std::string> only;
};

void measure(const MeasureOptions& options) {
  open_gpu();
  Measurement all;
  std::set<std::string> done;
  // What an interrupted call has measured is kept.
  if (std::filesystem::exists(options.out)) {
    all = Measurement::read(options.out);
    const auto here = about_machine();
    all.about["continued"] = here.at("date") + " on " + here.at("gpu") + ", driver " + here.at("driver");
    const std::string& parts = all.about["measured"];
    for (std::size_t at = 0; at < parts.size();) {
      const std::size_t end = std::min(parts.find(' ', at), parts.size());
      done.insert(parts.substr(at, end - at));
      at = end + 1;
    }
  } else {
    all.about = about_machine();
    all.about["platform"] =
        options.platform.empty() ? std::filesystem::path(options.out).stem().string() : options.platform;
  }
  Harness harness;
  KernelRunner runner(arena_size());
  HostPool host({std::int64_t{4} << 30});
  Progress progress;
  Bench bench{harness, runner, host, all, std::ref(progress), [&] { all.write(options.out); }};
  const std::pair<const char*, std::function<void()>> parts[] = {
      {"pageable", [&] { measure_pageable_copies(bench); }},
      {"host", [&] { measure_host(bench, options.folder); }},
      {"engine", [&] { measure_engine(bench); }},
      {"pinned", [&] { measure_pinned_copies(bench); }},
      {"calls", [&] { measure_calls(bench); }},
      {"overlap", [&] { measure_overlap(bench); }},
      {"kernels", [&] { measure_kernels(bench); }},
      {"power", [&] { measure_power(bench); }},
  };
  for (const auto& [name, part] : parts) {
    if (done.count(name)) continue;
    if (!options.only.empty() &&
        std::find(options.only.begin(), options.only.end(), name) == options.only.end())
      continue;
    part();
    done.insert(name);
    std::string measured;
    for (const std::string& each : done) measured += (measured.empty() ? "" : " ") + each;
    all.about["measured"] = measured;
    all.about["clocks_after"] = harness.clocks().text();
    all.write(options.out);
  }
  progress("done", 1);
  fmt::print(stderr, "\n");
  fmt::print("{}: {} on {}\n", options.out, all.about.at("gpu"), all.about.at("cpu"));
}

struct RunOptions {
  std::vector<std::string> scenarios;
  std::string out, platform, pool;
  int repeats = 3;
};

// Experts of a scenario, all of them: what the host must hold.
Bytes all_experts(const Scenario& scenario) {
  return scenario.model.expert_bytes() * (scenario.model.moe_layers * scenario.model.experts);
}

// Short runs are repeated up to three times as often, so that a host's hiccup is one of many; one repeat less of those
// that take tens of seconds.
EngineRun run_strategy(const Scenario& scenario, const Strategy& strategy, KernelRunner& runner,
                       const HostPool& host, HostProbe& probe, int repeats) {
  constexpr double kShort = 0.6, kLong = 20;
  EngineRun result{scenario.name + "/" + strategy.name, 0, {}, {}};
  const ExpertPlaces places{static_cast<std::int64_t>(scenario.model.blocks.size()), scenario.model.experts,
                            scenario.model.expert_bytes(), strategy.settings.cache_capacity};
  double time = 0;
  for (int i = 0; i < 3 * repeats; ++i) {
    if (i >= repeats && time > kShort) break;
    if (i >= std::max(1, repeats - 1) && time > kLong) break;
    CudaMachine machine(scenario.platform, runner, host, places);
    const HostState before = probe.measure(!host.pinned());
    result.repeats.push_back(run_steps(machine, scenario, strategy));
    machine.drain();
    const HostState after = probe.measure(!host.pinned());
    result.hosts.push_back({(before.launch + after.launch) / 2, (before.copy + after.copy) / 2});
    for (const RunStep& step : result.repeats.back()) time += step.duration;
    result.copied = machine.copied().count;
    if (i == 0 && !machine.verify()) throw std::runtime_error(result.name + ": an expert arrived damaged");
  }
  return result;
}

void run(const RunOptions& options) {
  open_gpu();
  RunTable table;
  if (std::filesystem::exists(options.out))
    table = RunTable::read(options.out);
  else
    table.about = about_machine();
  std::set<std::string> done;
  for (const EngineRun& each : table.runs) done.insert(each.name);
  std::vector<Scenario> scenarios;
  Bytes most;
  std::vector<std::string> files = options.scenarios;
  if (files.empty())
    for (const auto& file : validation_scenarios()) files.push_back(file.string());
  for (const std::string& file : files) {
    scenarios.push_back(Scenario::load(file, options.platform));
    const MoeModel& model = scenarios.back().model;
    if (model.attention.latent || model.recurrence)
      throw InputError(
          file, 0, fmt::format("{} has latent attention or recurrent layers", model.name),
          "a model of attention with keys and values, which is what the harness has kernels for");
    most = std::max(most, all_experts(scenarios.back()));
  }
  if (!options.pool.empty()) most = std::min(most, Yaml::parse(options.pool, "--pool").bytes());
  Progress progress;
  progress(fmt::format("filling {:.0f} GB of host memory", static_cast<double>(most.count) * 1e-9), 0);
  KernelRunner runner(arena_size());
  HostPool host(most);
  HostProbe probe(runner, host);
  table.about["host_pool_bytes"] = std::to_string(most.count);
  // Pageable first: memory that was pinned before is copied more slowly, by a third and more in what was measured.
  for (const HostMemory kind : {HostMemory::pageable, HostMemory::pinned}) {
    if (kind == HostMemory::pinned) {
      progress("pinning it", 0);
      host.pin();
    }
    for (std::size_t i = 0; i < scenarios.size(); ++i) {
      for (const Strategy& strategy : scenarios[i].strategies) {
        const std::string name = scenarios[i].name + "/" + strategy.name;
        if (strategy.settings.host_memory != kind || done.count(name)) continue;
        progress(name, static_cast<double>(i) / static_cast<double>(scenarios.size()));
        table.runs.push_back(run_strategy(scenarios[i], strategy, runner, host, probe, options.repeats));
        table.write(options.out);
      }
    }
  }
  progress("done", 1);
  fmt::print(stderr, "\n");
  fmt::print("{}: {} runs on {}\n", options.out, table.runs.size(), table.about.at("gpu"));
}

}  // namespace

void add_commands(CLI::App& app) {
  app.add_subcommand("devices", "What the driver reports of this machine's GPU")->callback(list_devices);
  app.add_subcommand("check", "Every kernel against a reference on the CPU")->callback([] {
    open_gpu();
    const int failures = check_kernels(stdout);
    if (failures > 0) throw std::runtime_error(fmt::format("{} kernels compute something else", failures));
  });

  auto measuring = std::make_shared<MeasureOptions>();
  CLI::App* command =
      app.add_subcommand("measure", "Measure this machine; an interrupted call goes on where it was");
  command->add_option("--out", measuring->out, "File of measurements, e.g. my-gpu.h5")->required();
  command->add_option("--platform", measuring->platform,
                      "Name of the platform file that will be fitted to it; default that of --out");
  command->add_option("--folder", measuring->folder, "Where a file of 256 MiB is written to and read from");
  command
      ->add_option("--only", measuring->only,
                   "Parts: pageable, host, engine, pinned, calls, overlap, kernels, power")
      ->delimiter(',')
      ->check(
          CLI::IsMember({"pageable", "host", "engine", "pinned", "calls", "overlap", "kernels", "power"}));
  command->callback([measuring] { measure(*measuring); });

  auto running = std::make_shared<RunOptions>();
  command = app.add_subcommand("run", "Run scenarios on this GPU instead of simulating them");
  command->add_option("scenarios", running->scenarios, "Scenario files; default all of validation/runs");
  command
      ->add_option("--out", running->out,
                   "Table of runs, e.g. my-gpu_runs.h5; runs that it holds are not repeated")
      ->required();
  command->add_option("--platform", running->platform, "Platform instead of the scenarios'");
  command->add_option("--pool", running->pool, "At most so much host memory for experts, e.g. \"32 GiB\"");
  command->add_option("--repeats", running->repeats, "Times that each run is repeated; short ones more often")
      ->check(CLI::Range(1, 100));
  command->callback([running] { run(*running); });
}

}  // namespace specmoe::cuda
