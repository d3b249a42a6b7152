#include "validation/calibration/null_machine.hpp"

#include <chrono>

#include "models/moe/routing/routing_generator.hpp"
#include "sim/engine/engine.hpp"

namespace specmoe {

namespace {

using Clock = std::chrono::steady_clock;

class NullMachine final : public Machine {
 public:
  explicit NullMachine(const Platform& platform) : platform_(platform) {}
  const Platform& platform() const override { return platform_; }
  Stream open_stream(DeviceId, const std::string&) override { return {streams_++}; }
  void launch(Stream, const Kernel&) override { ++calls_; }
  void copy(Stream, MemoryId, MemoryId, Bytes, HostMemory, const CopyLabel&) override { ++calls_; }
  Event record(Stream) override {
    ++calls_;
    return std::make_shared<EventState>();
  }
  void wait(Stream, const Event&) override { ++calls_; }
  void synchronize(const Event&) override {}
  void work(Seconds) override {}
  bool reached(const Event&) const override { return true; }
  Seconds time_of(const Event&) const override { return {}; }
  Seconds now() const override { return {std::chrono::duration<double>(Clock::now() - start_).count()}; }
  std::int64_t calls() const { return calls_; }

 private:
  const Platform& platform_;
  int streams_ = 0;
  std::int64_t calls_ = 0;
  Clock::time_point start_ = Clock::now();
};

// Steps as the engine times them: what it does between steps does not count.
struct StepTime : EngineObserver {
  void step_ended(const StepRecord& step) override { time += step.duration(); }
  void run_ended(std::int64_t, Bytes) override {}
  Seconds time;
};

}  // namespace

double engine_seconds_per_call(std::int64_t batch) {
  const Platform platform = Platform::load("h100_sxm_80gb");
  const MoeModel model = MoeModel::load("qwen1.5-moe-a2.7b");
  RoutingOptions routing;
  routing.layers = model.moe_layers;
  routing.experts = static_cast<int>(model.experts);
  routing.top_k = static_cast<int>(model.top_k);
  routing.requests = batch;
  routing.prompt_tokens = 1;
  routing.output_tokens = 32;
  routing.zipf = 0.6;
  routing.reuse = 0.4;
  RoutingGenerator source(routing);
  Workload workload;
  workload.requests = workload.batch = batch;
  workload.prefill = false;
  EngineSettings settings;
  settings.gpu = platform.first(Device::Kind::gpu);
  settings.expert_home = platform.memory("dram");
  settings.cache_capacity = model.expert_bytes() * (model.moe_layers * model.experts / 4);
  for (const EvictionKind& kind : eviction_kinds())
    if (kind.name == "lru") settings.eviction = &kind;
  for (const PredictorKind& kind : predictor_kinds())
    if (kind.name == "gate") settings.predictor = &kind;
  settings.accuracy = {{0.9}};
  NullMachine machine(platform);
  StepTime steps;
  run_engine(machine, model, source, workload, settings, steps);
  return steps.time.value / static_cast<double>(machine.calls());
}

}  // namespace specmoe
