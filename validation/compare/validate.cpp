#include "validation/compare/validate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "models/hardware/kernel_price.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "sim/machine/machine.hpp"
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
  std::int64_t out = 0, bytes = 0;
  int count = 1;
  HostMemory host = HostMemory::pinned;
};

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
          machine.copy(stream, probe.out ? device : host, probe.out ? host : device, {probe.bytes},
                       probe.host);
          end = machine.record(stream);
        }
        machine.synchronize(end);
        // Two events that stand side by side are taken off, as the harness does.
        const double on_gpu =
            (machine.time_of(end) - machine.time_of(start) - platform[gpu].event_time).value;
        const double of_host = (machine.now() - begin).value;
        times.push_back((probe.host == HostMemory::pinned ? on_gpu : of_host) / probe.count);
      }
    });
    return bytes_of(times);
  }));
}

class Collector {
 public:
  Collector(const Platform& platform, const std::string& machine, const Measurement& measurement)
      : platform_(platform),
        gpu_(platform.first(Device::Kind::gpu)),
        machine_(machine),
        measurement_(measurement) {}

  void copies(const std::string& experiment, const std::string& how, HostMemory host, int count) {
    std::vector<CopyProbe> probes;
    std::vector<const MeasuredPoint*> points;
    for (const MeasuredPoint& point : measurement_[experiment].points) {
      const std::int64_t direction = point.parameters.at(0), bytes = point.parameters.at(1);
      if (direction == 2) {  // a kernel of the copy's traffic, to the simulator
        const Seconds time =
            kernel_time(platform_, gpu_, {Elementwise{1, std::max<std::int64_t>(1, bytes / 2)}});
        add("copies", fmt::format("within the GPU, {}", how), size_text(bytes), point.median(), time.value);
        continue;
      }
      probes.push_back({direction, bytes, count, host});
      points.push_back(&point);
    }
    const std::vector<double> times = simulate_copies(platform_, probes);
    for (std::size_t i = 0; i < probes.size(); ++i) {
      const bool large = probes[i].bytes >= 256 << 10;
      add("copies",
          fmt::format("{} {}, {}, {} 256 KiB", host == HostMemory::pinned ? "pinned" : "pageable",
                      probes[i].out ? "out" : "in", how, large ? "from" : "below"),
          size_text(probes[i].bytes), points[i]->median(), times[i]);
    }
  }

  void experts() {
    std::vector<CopyProbe> probes;
    const Experiment& experiment = measurement_["copy/expert"];
    for (const MeasuredPoint& point : experiment.points)
      if (point.parameters.at(1) == 1) probes.push_back({0, point.parameters.at(0), 8, HostMemory::pinned});
    const std::vector<double> times = simulate_copies(platform_, probes);
    std::size_t i = 0;
    for (const MeasuredPoint& point : experiment.points)
      if (point.parameters.at(1) == 1)
        add("copies", "experts, pinned in", size_text(point.parameters.at(0)), point.median(), times[i++]);
  }

  void kernels() {
    for (std::size_t i = 0; i < std::size(kKernelClasses); ++i) {
      const std::vector<std::string> names = parameter_names(i);
      for (const MeasuredPoint& point :
           measurement_[fmt::format("kernels/{}_score", kKernelClasses[i])].points) {
        std::string label;
        for (std::size_t j = 0; j < names.size(); ++j)
          label += fmt::format("{}{} {}", j ? ", " : "", names[j], point.parameters.at(j));
        add("kernels", kKernelClasses[i], label, point.median(),
            kernel_time(platform_, gpu_, kernel_of(i, point.parameters)).value);
      }
    }
    const std::vector<PredictorPass> passes = predictor_passes();
    for (const MeasuredPoint& point : measurement_["kernels/predictor_score"].points) {
      const PredictorPass& pass = passes.at(static_cast<std::size_t>(point.parameters.at(0)));
      Seconds sum;
      for (const Kernel& kernel : pass.kernels) sum += kernel_time(platform_, gpu_, kernel);
      add("kernels", "predictor", fmt::format("{} {}", pass.name, point.parameters.at(0)), point.median(),
          sum.value);
    }
  }

  void runs(const RunTable& table) {
    std::vector<IsolatedWork> works;
    std::vector<const EngineRun*> measured;
    std::vector<Scenario> scenarios;
    for (const auto& file : validation_scenarios()) scenarios.push_back(Scenario::load(file, ""));
    for (Scenario& scenario : scenarios) scenario.platform = platform_;
    for (const Scenario& scenario : scenarios)
      for (const Strategy& strategy : scenario.strategies)
        for (const EngineRun& run : table.runs) {
          if (run.name != scenario.name + "/" + strategy.name) continue;
          measured.push_back(&run);
          works.push_back([&] {
            std::vector<RunStep> steps;
            simulate(scenario.platform,
                     [&](Machine& machine) { steps = run_steps(machine, scenario, strategy); });
            return bytes_of(steps);
          });
        }
    const int jobs = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    const std::vector<std::string> results = run_isolated(works, jobs);
    for (std::size_t i = 0; i < measured.size(); ++i)
      compare_run(*measured[i], values_of<RunStep>(results[i]));
  }

  std::vector<Comparison> result;

 private:
  void add(const std::string& kind, const std::string& group, const std::string& label, double measured,
           double simulated) {
    result.push_back({machine_, kind, group, label, measured, simulated});
  }

  // Mean step of a phase: of each step the shortest of the repeats, since what disturbs a machine only adds.
  static double mean_step(const std::vector<std::vector<RunStep>>& repeats, std::int64_t prefill) {
    double sum = 0, steps = 0;
    for (std::size_t i = 0; i < repeats.front().size(); ++i) {
      if (repeats.front()[i].prefill != prefill) continue;
      double least = repeats.front()[i].duration;
      for (const auto& repeat : repeats) least = std::min(least, repeat.at(i).duration);
      sum += least;
      ++steps;
    }
    return steps > 0 ? sum / steps : 0;
  }

  void compare_run(const EngineRun& run, const std::vector<RunStep>& steps) {
    const std::size_t slash = run.name.find('/');
    const std::string scenario = run.name.substr(0, slash), strategy = run.name.substr(slash + 1);
    for (const std::int64_t prefill : {0, 1}) {
      const double measured = mean_step(run.repeats, prefill), simulated = mean_step({steps}, prefill);
      if (measured > 0) add(prefill ? "prefill" : "runs", scenario, strategy, measured, simulated);
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
                                         const Measurement& measurement, const RunTable* runs) {
  Collector all(platform, machine, measurement);
  all.copies("copy/one_score", "one by one", HostMemory::pinned, 1);
  all.copies("copy/train_score", "back to back", HostMemory::pinned, 8);
  all.copies("copy/pageable_one_score", "one by one", HostMemory::pageable, 1);
  all.copies("copy/pageable_train_score", "back to back", HostMemory::pageable, 8);
  all.experts();
  all.kernels();
  if (runs) all.runs(*runs);
  return all.result;
}

}  // namespace specmoe
