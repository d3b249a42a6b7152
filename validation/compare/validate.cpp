#include "validation/compare/validate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "models/hardware/kernel_price.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "sim/machine/machine.hpp"
#include "validation/calibration/fit.hpp"
#include "validation/calibration/shapes.hpp"

namespace specmoe {

namespace {

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::vector<T> values_of(const std::string& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::string size_text(std::int64_t bytes) {
  if (bytes >= 1 << 20) return fmt::format("{:.4g} MiB", static_cast<double>(bytes) / 0x1p20);
  return bytes >= 1024 ? fmt::format("{:.4g} KiB", static_cast<double>(bytes) / 1024)
                       : fmt::format("{} B", bytes);
}

/// Copies of one size, as the harness times them: behind a kernel that holds the stream until all are queued, or by the
/// host's clock.
struct CopyProbe {
  std::int64_t direction = 0, bytes = 0;  // 0 in, 1 out, 2 within the GPU
  int count = 1;
  /// With an event after each.
  bool train = false;
  HostMemory host = HostMemory::pinned;
};

std::string way_of(const CopyProbe& probe) {
  if (probe.direction == 2) return "within the GPU";
  return fmt::format("{} {}", probe.host == HostMemory::pinned ? "pinned" : "pageable",
                     probe.direction == 1 ? "out" : "in");
}

// One after the other on one simulated machine.
std::vector<double> simulate_copies(const Platform& platform, const std::vector<CopyProbe>& probes) {
  return values_of<double>(run_isolated([&] {
    std::vector<double> times;
    simulate(platform, [&](Machine& machine) {
      const DeviceId gpu = platform.first(Device::Kind::gpu);
      const MemoryId device = platform[gpu].memory, host = platform[platform.first(Device::Kind::cpu)].memory;
      const Stream stream = machine.open_stream(gpu, "copies");
      const Kernel blocking{Elementwise{1 << 20, 1 << 15}};
      for (const CopyProbe& probe : probes) {
        if (probe.host == HostMemory::pinned) machine.launch(stream, blocking);
        const Seconds begin = machine.now();
        const Event start = machine.record(stream);
        Event end;
        for (int i = 0; i < probe.count; ++i) {
          machine.copy(stream, probe.direction == 0 ? host : device, probe.direction == 1 ? host : device,
                       {probe.bytes}, probe.host);
          if (probe.train) end = machine.record(stream);
        }
        // A pageable copy has ended when its call returns.
        const double of_host = (machine.now() - begin).value;
        if (probe.host == HostMemory::pinned) machine.synchronize(end = machine.record(stream));
        if (probe.host == HostMemory::pageable) {
          times.push_back(of_host / probe.count);
        } else {
          // Two events that stand side by side are taken off, as the harness does.
          const Seconds on_gpu = machine.time_of(end) - machine.time_of(start) - platform[gpu].event_time;
          times.push_back(on_gpu.value / probe.count);
        }
      }
    });
    return bytes_of(times);
  }));
}

/// What holds a run up: what is busy longest of it.
enum Regime : char { link, gpu, host, pageable };
constexpr const char* kRegimes[] = {"bound by the link", "bound by the GPU", "bound by the host",
                                    "pageable memory"};

struct Busy : MachineObserver {
  explicit Busy(const Device& device) : gpu(device) {}
  void kernel_ended(Stream, const Kernel& kernel, Seconds start, Seconds end) override {
    kernels += end - start;
    host += launch_call(gpu, kernel);
  }
  void copy_ended(Stream, const CopyLabel&, const Route&, Bytes, Seconds start, Seconds end) override {
    copies += end - start;
    host += gpu.host_calls.copy + gpu.host_calls.record + gpu.host_calls.work * 2;
  }
  const Device& gpu;
  Seconds kernels, copies, host;
};

class Collector {
 public:
  Collector(const Platform& platform, const std::string& machine, const Measurement& measurement)
      : platform_(platform),
        gpu_(platform.first(Device::Kind::gpu)),
        machine_(machine),
        measurement_(measurement) {}

  void copies(const std::string& experiment, const std::string& how, HostMemory host, bool train) {
    std::vector<CopyProbe> probes;
    std::vector<const MeasuredPoint*> points;
    for (const MeasuredPoint& point : measurement_[experiment].points) {
      const std::int64_t direction = point.parameters.at(0), bytes = point.parameters.at(1);
      const int copies = train ? copy_train_length(bytes, host == HostMemory::pageable) : 1;
      probes.push_back({direction, bytes, copies, train, host});
      points.push_back(&point);
    }
    const std::vector<double> times = simulate_copies(platform_, probes);
    for (std::size_t i = 0; i < probes.size(); ++i) {
      const bool large = probes[i].bytes >= 256 << 10;
      add("copies", fmt::format("{}, {}, {} 256 KiB", way_of(probes[i]), how, large ? "from" : "below"),
          size_text(probes[i].bytes), points[i]->median(), times[i]);
    }
  }

  void experts() {
    std::vector<CopyProbe> probes;
    const Experiment& experiment = measurement_["copy/expert"];
    for (const MeasuredPoint& point : experiment.points)
      if (point.parameters.at(1) == 1)
        probes.push_back({0, point.parameters.at(0), copy_train_length(point.parameters.at(0), false), true,
                          HostMemory::pinned});
    const std::vector<double> times = simulate_copies(platform_, probes);
    std::size_t i = 0;
    for (const MeasuredPoint& point : experiment.points)
      if (point.parameters.at(1) == 1)
        add("copies", "experts, pinned in", size_text(point.parameters.at(0)), point.median(), times[i++]);
  }

  /// @param use of the points; all if empty
  void kernels(std::size_t i, const std::string& suffix,
               const std::function<bool(const std::vector<std::int64_t>&)>& use) {
    const std::vector<std::string> names = parameter_names(i);
    for (const MeasuredPoint& point :
         measurement_[fmt::format("kernels/{}{}", kKernelClasses[i], suffix)].points) {
      if (use && !use(point.parameters)) continue;
      std::string label;
      for (std::size_t j = 0; j < names.size(); ++j)
        label += fmt::format("{}{} {}", j ? ", " : "", names[j], point.parameters.at(j));
      add("kernels", kKernelClasses[i], label, point.median(),
          kernel_time(platform_, gpu_, kernel_of(i, point.parameters)).value);
    }
  }

  void kernels() {
    for (std::size_t i = 0; i < std::size(kKernelClasses); ++i) kernels(i, "_score", {});
    const std::vector<PredictorPass> passes = predictor_passes();
    for (const MeasuredPoint& point : measurement_["kernels/predictor_score"].points) {
      const PredictorPass& pass = passes.at(static_cast<std::size_t>(point.parameters.at(0)));
      // Passes were timed one after another, their kernels among others.
      Seconds sum;
      const Kernel* before = &pass.kernels.back();
      for (const Kernel& kernel : pass.kernels) {
        sum += kernel_time(platform_, gpu_, kernel);
        if (kernel.work != before->work) sum += platform_[gpu_].kernel_change;
        before = &kernel;
      }
      add("kernels", "predictor", fmt::format("{} {}", pass.name, point.parameters.at(0)), point.median(),
          sum.value);
    }
  }

  void runs(const RunTable& table, const std::function<bool(const Scenario&)>& use) {
    std::vector<IsolatedWork> works;
    std::vector<const EngineRun*> measured;
    std::vector<Scenario> scenarios;
    for (const auto& file : validation_scenarios()) scenarios.push_back(Scenario::load(file));
    std::erase_if(scenarios, [&](const Scenario& scenario) { return use && !use(scenario); });
    for (const Scenario& scenario : scenarios)
      for (const Strategy& strategy : scenario.strategies)
        for (const EngineRun& run : table.runs) {
          if (run.name != scenario.name + "/" + strategy.name) continue;
          check_steps(run);
          measured.push_back(&run);
          works.push_back([&] {
            Scenario here = scenario;
            here.platform = with_host(platform_, run.hosts);
            return simulated_run(here, strategy);
          });
        }
    const int jobs = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    const std::vector<std::string> results = run_isolated(works, jobs);
    for (std::size_t i = 0; i < measured.size(); ++i) {
      const auto regime = static_cast<Regime>(results[i].front());
      compare_run(*measured[i], values_of<RunStep>(results[i].substr(1)), regime);
    }
  }

  std::vector<Comparison> result;

 private:
  void add(const std::string& kind, const std::string& group, const std::string& label, double measured,
           double simulated) {
    result.push_back({machine_, kind, group, label, measured, simulated});
  }

  void check_steps(const EngineRun& run) const {
    const auto same = [&](const auto& repeat) { return repeat.size() == run.repeats.front().size(); };
    if (run.repeats.empty() || run.repeats.front().empty() ||
        !std::all_of(run.repeats.begin(), run.repeats.end(), same))
      throw InputError(machine_ + "_runs.h5", 0,
                       "run \"" + run.name + "\": no steps, or not as many in each repeat",
                       "what specmoe-calibrate run writes");
  }

  // The regime, a byte; then the steps.
  static std::string simulated_run(const Scenario& scenario, const Strategy& strategy) {
    std::vector<RunStep> steps;
    Busy busy(scenario.platform[strategy.settings.gpu]);
    simulate(
        scenario.platform, [&](Machine& machine) { steps = run_steps(machine, scenario, strategy); }, &busy);
    Regime regime = Regime::host;
    if (strategy.settings.host_memory == HostMemory::pageable)
      regime = Regime::pageable;
    else if (std::max(busy.copies, busy.kernels) > busy.host)
      regime = busy.copies > busy.kernels ? Regime::link : Regime::gpu;
    std::string result(1, static_cast<char>(regime));
    result += bytes_of(steps);
    return result;
  }

  // Mean step of a phase: of each step the median of the repeats, as of the host's probes; where the link decides the
  // shortest, since other traffic on it only adds.
  static double mean_step(const std::vector<std::vector<RunStep>>& repeats, std::int64_t prefill,
                          Regime regime) {
    double sum = 0, steps = 0;
    for (std::size_t i = 0; i < repeats.front().size(); ++i) {
      if (repeats.front()[i].prefill != prefill) continue;
      std::vector<double> durations;
      for (const auto& repeat : repeats) durations.push_back(repeat.at(i).duration);
      sum += regime == Regime::link ? *std::min_element(durations.begin(), durations.end())
                                    : median_of(durations);
      ++steps;
    }
    return steps > 0 ? sum / steps : 0;
  }

  void compare_run(const EngineRun& run, const std::vector<RunStep>& steps, Regime regime) {
    for (const std::int64_t prefill : {0, 1}) {
      const double measured = mean_step(run.repeats, prefill, regime),
                   simulated = mean_step({steps}, prefill, regime);
      if (measured > 0) add(prefill ? "prefill" : "decode", kRegimes[regime], run.name, measured, simulated);
      // How far the machine is from itself: the last repeat as if it were a simulation of the one before.
      if (measured > 0 && run.repeats.size() > 1)
        add("repeated", kRegimes[regime], fmt::format("{}, {}", run.name, prefill ? "prefill" : "decode"),
            mean_step({run.repeats.end()[-2]}, prefill, regime),
            mean_step({run.repeats.back()}, prefill, regime));
    }
    // What was decided must be the same to the last one, whatever the time.
    const std::pair<const char*, std::int64_t RunStep::*> counts[] = {
        {"accesses", &RunStep::accesses},
        {"hits", &RunStep::hits},
        {"misses", &RunStep::misses},
        {"prefetches", &RunStep::issued},
        {"bytes on demand", &RunStep::demand_bytes},
        {"bytes ahead", &RunStep::prefetch_bytes}};
    std::int64_t moved = 0;
    for (const auto& [name, member] : counts) {
      std::int64_t real = 0, here = 0;
      for (const RunStep& step : run.repeats.front()) real += step.*member;
      for (const RunStep& step : steps) here += step.*member;
      if (real > 0 || here > 0)
        add("counts", name, run.name, static_cast<double>(std::max<std::int64_t>(1, real)),
            static_cast<double>(here));
      if (member == &RunStep::demand_bytes || member == &RunStep::prefetch_bytes) moved += here;
    }
    if (run.copied > 0 || moved > 0)
      add("counts", "bytes copied", run.name, static_cast<double>(std::max<std::int64_t>(1, run.copied)),
          static_cast<double>(moved));
  }

  const Platform& platform_;
  DeviceId gpu_;
  std::string machine_;
  const Measurement& measurement_;
};

}  // namespace

std::vector<Comparison> compare_measured(const Platform& platform, const std::string& machine,
                                         const Measurement& measurement, const RunTable* runs) try {
  measurement.check_times();
  Collector all(platform, machine, measurement);
  all.copies("copy/one_score", "one by one", HostMemory::pinned, false);
  all.copies("copy/train_score", "back to back", HostMemory::pinned, true);
  all.copies("copy/pageable_one_score", "one by one", HostMemory::pageable, false);
  all.copies("copy/pageable_train_score", "back to back", HostMemory::pageable, true);
  all.experts();
  all.kernels();
  if (runs) all.runs(*runs, {});
  return all.result;
} catch (const std::out_of_range&) {  // of at
  throw InputError(machine + ".h5", 0,
                   "an experiment without a parameter that is compared, or with one out of range",
                   "what specmoe-calibrate measure writes");
}

std::vector<std::string> runs_without_scenario(const RunTable& runs) {
  std::set<std::string> known;
  for (const auto& file : validation_scenarios()) {
    const Scenario scenario = Scenario::load(file);
    for (const Strategy& strategy : scenario.strategies) known.insert(scenario.name + "/" + strategy.name);
  }
  std::vector<std::string> names;
  for (const EngineRun& run : runs.runs)
    if (!known.count(run.name)) names.push_back(run.name);
  return names;
}

std::vector<Comparison> compare_unseen_models(const std::string& machine, const Measurement& measurement,
                                              const RunTable* runs) {
  FitOptions half{"half", "fitted on half of the models", "", shape_of_first_half};
  const Platform platform = fit_platform(measurement, half).platform;
  Collector all(platform, machine, measurement);
  for (std::size_t i = 0; i < std::size(kKernelClasses); ++i)
    all.kernels(i, "", [&](const std::vector<std::int64_t>& p) { return !shape_of_first_half(i, p); });
  if (runs) all.runs(*runs, [](const Scenario& scenario) { return !of_first_half(scenario.model); });
  std::erase_if(all.result, [](const Comparison& c) { return c.kind == "counts" || c.kind == "repeated"; });
  return all.result;
}

Platform with_datasheet_of(const Platform& measured, const Platform& other) {
  Platform platform = measured;
  const DeviceId from = other.first(Device::Kind::gpu), to = platform.first(Device::Kind::gpu);
  Device& gpu = platform.devices[static_cast<std::size_t>(to.index)];
  gpu.peak = other[from].peak;
  gpu.l2 = other[from].l2;
  Memory& memory = platform.memories[static_cast<std::size_t>(gpu.memory.index)];
  const Memory was = std::exchange(memory, other[other[from].memory]);
  // Copies within it as measured, with what the memory is faster.
  memory.copies = was.copies;
  if (memory.copies)
    memory.copies->bandwidth = memory.copies->bandwidth * (memory.read.value / was.read.value);
  return platform;
}

}  // namespace specmoe
