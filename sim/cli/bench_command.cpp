// specmoe bench: what a simulated activity costs, beside SimGrid alone.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "sim/cli/bench.hpp"
#include "sim/cli/commands.hpp"
#include "sim/machine/bench.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

BenchRun::BenchRun(std::int64_t activities)
    : platform(Platform::load("rtx4090")), model(MoeModel::load("qwen3-30b-a3b")) {
  constexpr std::int64_t kActivitiesPerStep = 1130;
  routing.layers = model.moe_layers;
  routing.experts = static_cast<int>(model.experts);
  routing.top_k = static_cast<int>(model.top_k);
  routing.prompt_tokens = 1;
  routing.output_tokens = std::max<std::int64_t>(1, activities / kActivitiesPerStep);
  routing.seed = 1;
  routing.zipf = 0.6;
  routing.reuse = 0.4;
  workload.prefill = false;
  settings.gpu = platform.first(Device::Kind::gpu);
  settings.expert_home = platform.memory("dram");
  settings.cache_capacity = {19'000'000'000};
  settings.eviction = &eviction_kinds().front();
}

double cpu_seconds() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

double megabytes() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_maxrss) / 1024;
}

namespace {

struct Cost {
  std::int64_t kernels, copies;
  Seconds mean_kernel;
  double cpu_seconds, megabytes;
};

struct Counter : MachineObserver, EngineObserver {
  void kernel_ended(Stream, const Kernel&, Seconds start, Seconds end) override {
    ++kernels;
    kernel_time += end - start;
  }
  void copy_ended(Stream, const CopyLabel&, const Route&, Bytes, Seconds, Seconds) override { ++copies; }
  void step_ended(const StepRecord&) override {}
  void run_ended(std::int64_t, Bytes) override {}
  std::int64_t kernels = 0, copies = 0;
  Seconds kernel_time;
};

// The engine with routing, cache and prices.
Cost engine(std::int64_t activities) {
  BenchRun run(activities);
  RoutingGenerator source(run.routing);
  Counter counter;
  const double before = cpu_seconds();
  simulate(
      run.platform,
      [&](Machine& machine) { run_engine(machine, run.model, source, run.workload, run.settings, counter); },
      &counter);
  return {counter.kernels, counter.copies, counter.kernel_time / static_cast<double>(counter.kernels),
          cpu_seconds() - before, megabytes()};
}

// As many Execs and Comms of the same mean length and size.
Cost bare(const Cost& like) {
  BareWork work;
  work.kernels.assign(static_cast<std::size_t>(like.kernels), like.mean_kernel);
  work.copies.assign(static_cast<std::size_t>(like.copies), MoeModel::load("qwen3-30b-a3b").expert_bytes());
  const Platform platform = Platform::load("rtx4090");
  work.bandwidth = platform.links.front().forward.bandwidth;
  work.duplex = platform.links.front().duplex;
  return {like.kernels, like.copies, like.mean_kernel, run_bare(work).cpu_seconds, megabytes()};
}

void print(const char* what, const Cost& cost) {
  const auto n = static_cast<double>(cost.kernels + cost.copies);
  fmt::print("{:<28}{:>12}{:>10}{:>10.2f}{:>14.0f}{:>10.0f}\n", what, cost.kernels, cost.copies,
             cost.cpu_seconds, n / cost.cpu_seconds, cost.megabytes);
}

// The two alternate, since a shared machine's speed drifts; the best of each counts.
void bench(std::int64_t activities) {
  constexpr int kRounds = 3;
  fmt::print("{:<28}{:>12}{:>10}{:>10}{:>14}{:>10}\n", "", "kernels", "copies", "CPU s", "activities/s",
             "RSS MB");
  const Cost tenth = measured([&] { return engine(activities / 10); });
  print("engine, a tenth", tenth);
  Cost whole, alone;
  for (int round = 0; round < kRounds; ++round) {
    const Cost one = measured([&] { return engine(activities); });
    const Cost other = measured([&] { return bare(one); });
    if (round == 0 || one.cpu_seconds < whole.cpu_seconds) whole = one;
    if (round == 0 || other.cpu_seconds < alone.cpu_seconds) alone = other;
  }
  print(fmt::format("engine, best of {}", kRounds).c_str(), whole);
  print(fmt::format("SimGrid alone, best of {}", kRounds).c_str(), alone);
  fmt::print("memory growth from a tenth: {:+.1f} %\n", (whole.megabytes / tenth.megabytes - 1) * 100);
  fmt::print("cost ratio: {:.2f}\n", whole.cpu_seconds / alone.cpu_seconds);
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto activities = std::make_shared<std::int64_t>(1'000'000);
  CLI::App* command = app.add_subcommand(
      "bench", "Simulated activities a second, beside SimGrid alone running the same number of activities");
  command->add_option("--activities", *activities, "Kernels and copies to simulate, about")
      ->check(CLI::Range(std::int64_t{10'000}, std::int64_t{1'000'000'000}))
      ->capture_default_str();
  auto policies = std::make_shared<bool>(false);
  command->add_flag("--policies", *policies,
                    "Instead the part of a run that is spent in each eviction policy and predictor");
  auto graph = std::make_shared<bool>(false);
  command
      ->add_flag(
          "--graph", *graph,
          "Instead a graph of 512,000 nodes: 4 GPUs, 1000 tokens, 32 layers of attention, two expert loads "
          "and a feed-forward network")
      ->excludes("--policies");
  command->callback([activities, policies, graph] {
    if (*graph) return bench_graph();
    *policies ? bench_policies(*activities) : bench(*activities);
  });
}

}  // namespace specmoe
