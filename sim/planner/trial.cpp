#include "sim/planner/trial.hpp"

#include <algorithm>
#include <cstring>

#include "models/hardware/kernel_price.hpp"
#include "sim/base/isolated.hpp"
#include "sim/results/recorder.hpp"

namespace specmoe {

namespace {

// Of a trial's decoding: steps, and tokens of all sequences together.
constexpr std::int64_t kFewestSteps = 4, kTrialSequenceTokens = 2048;

// Another source's decoded tokens, after a prompt of any length that is not there: decoding alone asks for none of it, and
// the generators would have to make it first.
class AfterPrompt : public RoutingSource {
 public:
  AfterPrompt(RoutingSource& source, std::int64_t prompt) : source_(source), prompt_(prompt) {}
  int layers() const override { return source_.layers(); }
  int experts() const override { return source_.experts(); }
  int top_k() const override { return source_.top_k(); }
  std::int64_t requests() const override { return source_.requests(); }
  RequestInfo request(std::int64_t index) const override {
    return {prompt_, prompt_, source_.request(index).decode_rows};
  }
  void read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
            std::span<std::int16_t> out) override {
    source_.read(request, first_row - prompt_ + source_.request(request).prefill_rows, rows, out);
  }
  std::string description() const override { return source_.description(); }

 private:
  RoutingSource& source_;
  std::int64_t prompt_;
};

class Meter : public Recorder {
 public:
  Meter(const Scenario& scenario, const Strategy& strategy)
      : Recorder(scenario, strategy), platform_(scenario.platform), gpu_(strategy.settings.gpu) {}

  void step_ended(const StepRecord& step) override {
    check_step_laws(step);
    Recorder::step_ended(step);
  }
  void stream_opened(Stream stream, DeviceId device, const std::string& name) override {
    Recorder::stream_opened(stream, device, name);
    devices_.resize(std::max(devices_.size(), static_cast<std::size_t>(stream.index) + 1));
    devices_[static_cast<std::size_t>(stream.index)] = device;
  }
  void kernel_ended(Stream stream, const Kernel& kernel, Seconds start, Seconds end) override {
    Recorder::kernel_ended(stream, kernel, start, end);
    const DeviceId device = devices_[static_cast<std::size_t>(stream.index)];
    of(Resource::host) += launch_call(platform_[device], kernel).value;
    if (device != gpu_) {
      of(Resource::cpu) += (end - start).value;
      return;
    }
    const Roofline line = roofline(platform_, device, kernel);
    const Resource part = line.floor >= std::max(line.traffic, line.arithmetic) ? Resource::gpu_floor
                          : line.traffic >= line.arithmetic                     ? Resource::gpu_memory
                                                                                : Resource::gpu_arithmetic;
    of(part) += (end - start).value;
  }
  void copy_ended(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
                  Seconds end) override {
    Recorder::copy_ended(stream, label, route, bytes, start, end);
    const bool disk = platform_[route.from].kind == Memory::Kind::disk;
    of(disk ? Resource::disk : Resource::link) += (end - start).value;
    const HostCalls& calls = platform_[gpu_].host_calls;
    of(Resource::host) += (calls.copy + calls.record + calls.work * 2).value;
  }

  std::array<double, kResources> busy{};

 private:
  double& of(Resource resource) { return busy[static_cast<std::size_t>(resource)]; }
  const Platform& platform_;
  DeviceId gpu_;
  std::vector<DeviceId> devices_;
};

template <class Kind>
const Kind* find_by_name(std::span<const Kind> kinds, std::string_view name) {
  return &*std::find_if(kinds.begin(), kinds.end(), [&](const Kind& kind) { return kind.name == name; });
}

std::string bytes_of(const Trial& trial) {
  return std::string(reinterpret_cast<const char*>(&trial), sizeof trial);
}

}  // namespace

Resource Trial::bottleneck() const {
  const auto of = [&](Resource resource) { return busy[static_cast<std::size_t>(resource)]; };
  constexpr std::array parts{Resource::gpu_memory, Resource::gpu_arithmetic, Resource::gpu_floor};
  constexpr std::array others{Resource::link, Resource::disk, Resource::cpu, Resource::host};
  const auto less = [&](Resource a, Resource b) { return of(a) < of(b); };
  const Resource part = *std::max_element(parts.begin(), parts.end(), less);
  const Resource other = *std::max_element(others.begin(), others.end(), less);
  return of(other) > gpu_busy() ? other : part;
}

double Trial::busy_share() const {
  const Resource most = bottleneck();
  return most >= Resource::gpu_memory ? gpu_busy() : busy[static_cast<std::size_t>(most)];
}

double Trial::gpu_busy() const {
  double sum = 0;
  for (auto i = static_cast<std::size_t>(Resource::gpu_memory); i < kResources; ++i) sum += busy[i];
  return sum;
}

Trial decode(const Question& question, const Setting& setting, std::size_t candidate, std::int64_t tokens) {
  const Scenario& scenario = setting.scenario;
  const Strategy& strategy = scenario.strategies.at(candidate);
  // A large batch tells as much in fewer steps.
  tokens = std::min(
      {tokens, question.output, std::max(kFewestSteps, kTrialSequenceTokens / question.sequences())});
  const auto source = scenario.routing.open();
  AfterPrompt routing(*source, question.context - tokens);
  Workload workload = scenario.workload;
  workload.prefill = false;
  workload.output_tokens = tokens;
  Meter meter(scenario, strategy);
  const SimulationEnd end = simulate(
      scenario.platform,
      [&](Machine& machine) {
        run_engine(machine, scenario.model, routing, workload, strategy.settings, meter);
      },
      &meter);
  const RunSummary summary = meter.finish(end);
  Trial trial{summary.tokens_per_second, summary.tpot, summary.hit_rate, 0,
              summary.energy_per_token,  meter.busy};
  trial.cpu_rate =
      static_cast<double>(summary.counters.on_cpu) / static_cast<double>(summary.counters.accesses);
  for (double& time : trial.busy) time /= summary.total_time;
  return trial;
}

double first_token(const Question& question, const Setting& setting, std::size_t candidate) {
  const Scenario& scenario = setting.scenario;
  Strategy strategy = scenario.strategies.at(candidate);
  // Engines that leave experts to the CPU copy them to the GPU for a prompt where that is faster: llama.cpp from 32 tokens
  // on, KTransformers from --kt-gpu-prefill-token-threshold on.
  if (setting.candidates.at(candidate).way == Way::on_cpu) {
    EngineSettings& s = strategy.settings;
    s.placement = find_by_name(placement_kinds(), "cheaper");
    // So many layers are in GPU memory; which of them makes no difference to a prompt.
    if (s.cpu_layers > 0) s.start = find_by_name(start_kinds(), "front");
    s.cpu_layers = 0;
  }
  RoutingOrigin origin = scenario.routing;
  origin.generator.prompt_tokens = origin.from_profile.prompt_tokens = question.context - question.output;
  origin.generator.output_tokens = origin.from_profile.output_tokens = 1;
  const auto source = origin.open();
  Recorder recorder(scenario, strategy);
  const SimulationEnd end = simulate(
      scenario.platform,
      [&](Machine& machine) {
        run_engine(machine, scenario.model, *source, scenario.workload, strategy.settings, recorder);
      },
      &recorder);
  return recorder.finish(end).ttft;
}

void Trials::add_decode(const Question& question, const Setting& setting, std::size_t candidate,
                        std::int64_t tokens) {
  works_.push_back([&question, &setting, candidate, tokens] {
    return bytes_of(decode(question, setting, candidate, tokens));
  });
}

void Trials::add_first_token(const Question& question, const Setting& setting, std::size_t candidate) {
  works_.push_back([&question, &setting, candidate] {
    Trial trial{};
    trial.tpot = first_token(question, setting, candidate);
    return bytes_of(trial);
  });
}

std::vector<Trial> Trials::run() {
  std::vector<Trial> trials;
  for (const std::string& bytes : run_isolated(works_, jobs_)) {
    Trial trial;
    std::memcpy(&trial, bytes.data(), sizeof trial);
    trials.push_back(trial);
  }
  works_.clear();
  return trials;
}

}  // namespace specmoe
