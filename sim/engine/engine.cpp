#include "sim/engine/engine.hpp"

#include <algorithm>
#include <stdexcept>

#include "models/moe/layer_graph.hpp"
#include "sim/base/input_error.hpp"
#include "sim/engine/expert_kernels.hpp"
#include "sim/engine/expert_store.hpp"
#include "sim/engine/predictor_pass.hpp"

namespace specmoe {

Counters& Counters::operator+=(const Counters& other) {
  routed += other.routed;
  accesses += other.accesses;
  hits += other.hits;
  misses += other.misses;
  requested += other.requested;
  issued += other.issued;
  useful += other.useful;
  late += other.late;
  useless += other.useless;
  evictions += other.evictions;
  dropped += other.dropped;
  on_cpu += other.on_cpu;
  skipped += other.skipped;
  low_pairs += other.low_pairs;
  skipped_pairs += other.skipped_pairs;
  host_hits += other.host_hits;
  host_misses += other.host_misses;
  demand_bytes += other.demand_bytes;
  prefetch_bytes += other.prefetch_bytes;
  disk_bytes += other.disk_bytes;
  return *this;
}

namespace {

class Engine {
 public:
  Engine(Machine& machine, const MoeModel& model, RoutingSource& source, const Workload& workload,
         const EngineSettings& settings, EngineObserver& observer)
      : machine_(machine),
        model_(model),
        source_(source),
        workload_(workload),
        settings_(settings),
        observer_(observer),
        kernels_(machine.platform(), model, settings),
        compute_(machine.open_stream(settings.gpu, "compute")),
        store_(machine, model, source, workload, settings, compute_, kernels_),
        pass_(machine, settings, compute_, model.top_k) {
    for (const Block& block : model.blocks) graphs_.emplace_back(block, model.shared.has_value());
    const Platform& platform = machine.platform();
    if (platform[platform[settings.gpu].memory].kind != Memory::Kind::unified)
      host_ = platform[platform.first(Device::Kind::cpu)].memory;
  }

  void run() {
    StepPlan plan(source_, workload_, !model_.encoder_decoder());
    auto step = plan.next();
    if (step) read_routing(model_, source_, *step, settings_.wants_weights(), routing_);
    while (step) {
      const auto next = plan.next();
      if (next) read_routing(model_, source_, *next, settings_.wants_weights(), next_routing_);
      run_step(*step, next ? &next_routing_ : nullptr);
      std::swap(routing_, next_routing_);
      step = next;
    }
    observer_.run_ended(store_.count_unused(), store_.cache().peak());
  }

 private:
  // What a block launched for each operator. Priced after the step: on a real machine the host's time is the step's.
  struct BlockWork {
    int index;
    std::array<std::vector<Kernel>, kOperators> kernels;
  };

  // The work of the block that comes next; memory of earlier steps is used again.
  void begin_work(int index) {
    if (works_ == work_.size()) work_.push_back({});
    BlockWork& work = work_[works_++];
    work.index = index;
    for (auto& kernels : work.kernels) kernels.clear();
  }

  void host_works(Seconds time) {
    if (time > Seconds{0}) machine_.work(time);
  }

  void launch(const std::vector<Kernel>& kernels, Operator part) {
    std::vector<Kernel>& launched = work_[works_ - 1].kernels[static_cast<std::size_t>(part)];
    launched.insert(launched.end(), kernels.begin(), kernels.end());
    for (const Kernel& kernel : kernels) machine_.launch(compute_, kernel);
  }

  void run_step(const Step& step, const StepRouting* next) {
    const StepShape shape = shape_of(model_, source_, step);
    record_ = {};
    record_.prefill = step.prefill;
    record_.sequences = shape.sequences;
    record_.first_tokens = step.prefill && !model_.encoder_decoder() ? step.finishing : 0;
    record_.tokens = shape.tokens;
    record_.layer_accesses.assign(static_cast<std::size_t>(model_.moe_layers), 0);
    record_.layer_hits.assign(static_cast<std::size_t>(model_.moe_layers), 0);
    record_.start = machine_.now();
    block_ends_.assign(model_.blocks.size(), nullptr);
    store_.begin_step(shape.tokens);
    host_works(settings_.step_work);

    works_ = 0;
    begin_work(-1);
    launch(model_.embed(shape), Operator::attention);
    pass_.begin_step(shape, routing_.end_layer - routing_.first_layer);
    const bool encoder = model_.encoder_decoder() && step.prefill;
    for (int block = 0; block < static_cast<int>(model_.blocks.size()); ++block) {
      const bool is_encoder = model_.blocks[static_cast<std::size_t>(block)].stack == Block::Stack::encoder;
      if (is_encoder == encoder) run_block(block, shape, next);
    }
    begin_work(-1);
    if (!encoder && step.finishing > 0) launch(model_.head(step.finishing), Operator::attention);

    machine_.synchronize(machine_.record(compute_));
    record_.end = machine_.now();
    record_.device_energy = machine_.device_energy();
    record_.critical_path = critical_path();
    for (const Event& end : block_ends_)
      record_.block_end.push_back(end ? machine_.time_of(end) : record_.start);
    store_.settle(record_);
    if (record_.counters.hits + record_.counters.misses != record_.counters.accesses)
      throw std::logic_error("hits + misses = accesses");
    observer_.step_ended(record_);
  }

  void run_block(int index, const StepShape& shape, const StepRouting* next) {
    const Block& block = model_.blocks[static_cast<std::size_t>(index)];
    const LayerGraph& graph = graphs_[static_cast<std::size_t>(index)];
    begin_work(index);
    Event routed;
    for (const Operator part : graph.issue_order()) switch (part) {
        case Operator::attention:
          launch(model_.attend(index, shape), part);
          break;
        case Operator::router:
          routed = launch_router(index, block.moe_layer, shape);
          pass_.visit(index, shape, routed);
          break;
        case Operator::feed_forward:
          launch(model_.feed_forward(index, shape.tokens), part);
          break;
        case Operator::experts:
          machine_.synchronize(routed);
          host_works(settings_.layer_work);
          run_experts(index, block.moe_layer, next);
          break;
        case Operator::combine:
          launch(model_.combine(index, shape.tokens), part);
          break;
      }
    block_ends_[static_cast<std::size_t>(index)] = machine_.record(compute_);
  }

  // The blocks one after another, between the embedding and the head.
  Seconds critical_path() {
    Seconds path =
        kernels_.time_of(work_.front().kernels[0]) + kernels_.time_of(work_[works_ - 1].kernels[0]);
    for (std::size_t i = 1; i + 1 < works_; ++i) {
      const BlockWork& work = work_[i];
      std::array<Seconds, kOperators> durations{};
      for (std::size_t part = 0; part < durations.size(); ++part)
        durations[part] = kernels_.time_of(work.kernels[part]);
      if (const int layer = model_.blocks[static_cast<std::size_t>(work.index)].moe_layer; layer >= 0) {
        expert_waves(routing_, layer, source_.experts(), true, waves_);
        Seconds& experts = durations[static_cast<std::size_t>(Operator::experts)];
        experts = std::min(experts, kernels_.resident_time(work.index, waves_.front()));
      }
      path += graphs_[static_cast<std::size_t>(work.index)].critical_path(durations);
    }
    return path;
  }

  // The host needs the chosen experts, and the looked-ahead ones, before it can load: they come back in one
  // copy.
  Event launch_router(int index, int layer, const StepShape& shape) {
    launch(model_.route(index, shape.tokens), Operator::router);
    std::int64_t answers = 1;
    if (!settings_.predictor_cost && store_.predictor() && store_.predictor()->runs_router())
      for (int distance = 1; distance <= settings_.window; ++distance)
        if (const auto target = look_ahead(routing_, nullptr, layer, distance)) {
          // The predictor's cost, no part of the model's critical path.
          for (const Kernel& kernel : model_.look_ahead(target->layer, shape.tokens))
            machine_.launch(compute_, kernel);
          ++answers;
        }
    if (host_.index >= 0) {                         // unified memory needs no copy
      constexpr std::int64_t kAnswerBytes = 4 + 4;  // expert id and gate weight
      machine_.copy(compute_, machine_.platform()[settings_.gpu].memory, host_,
                    {answers * shape.tokens * model_.top_k * kAnswerBytes}, HostMemory::pinned,
                    {"routing", index, -1});
    }
    return machine_.record(compute_);
  }

  void run_experts(int index, int layer, const StepRouting* next) {
    store_.routed(routing_, layer);
    expert_waves(routing_, layer, source_.experts(), settings_.deduplicate, waves_);
    if (settings_.miss.any())
      for (std::size_t i = 0; i < waves_.size(); ++i)
        find_needs(settings_.miss, routing_, layer, static_cast<std::int64_t>(i),
                   settings_.deduplicate ? routing_.tokens : 1, waves_[i]);
    store_.begin_layer(index, layer, waves_, record_);
    for (std::size_t i = 0; i < waves_.size(); ++i) {
      store_.request(waves_[i], i + 1 == waves_.size(), record_);
      kernels_.for_each(index, store_.ready(),
                        [&](const auto& kernels) { launch(kernels, Operator::experts); });
      // Prefetches queue behind the layer's own loads, and are issued while the device is busy.
      if (i == 0) store_.prefetch(routing_, next, layer, pass_.answer(), record_);
      store_.computed(store_.ready());
      while (const auto use = store_.next_awaited(record_)) {
        launch(kernels_.one(index, *use), Operator::experts);
        store_.computed({&*use, 1});
      }
    }
    store_.end_layer();
  }

  Machine& machine_;
  const MoeModel& model_;
  RoutingSource& source_;
  Workload workload_;
  const EngineSettings& settings_;
  EngineObserver& observer_;
  ExpertKernels kernels_;
  Stream compute_;
  ExpertStore store_;
  PredictorPass pass_;
  MemoryId host_;
  std::vector<LayerGraph> graphs_;
  StepRouting routing_, next_routing_;
  StepRecord record_;
  std::vector<BlockWork> work_;  // of the step, works_ of them: the embedding, its blocks, the head
  std::size_t works_ = 0;
  std::vector<Event> block_ends_;
  std::vector<std::vector<ExpertUse>> waves_;
};

}  // namespace

void check_step_laws(const StepRecord& step) {
  if (step.duration().value < step.critical_path.value * (1 - 1e-9))
    throw std::logic_error("a step is never shorter than its critical path");
}

void run_engine(Machine& machine, const MoeModel& model, RoutingSource& source, const Workload& workload,
                const EngineSettings& settings, EngineObserver& observer) {
  if (source.layers() != model.moe_layers || source.experts() != model.experts ||
      source.top_k() != model.top_k)
    throw InputError("", 0,
                     "the routing has " + std::to_string(source.layers()) + " MoE layers of " +
                         std::to_string(source.experts()) + " experts, top-" + std::to_string(source.top_k()),
                     model.name + "'s " + std::to_string(model.moe_layers) + " layers of " +
                         std::to_string(model.experts) + " experts, top-" + std::to_string(model.top_k));
  if (settings.miss.any() && !source.has_weights())
    throw InputError("", 0, "the routing has no gate weights",
                     "them for a precision or a skip by gate weight");
  Engine(machine, model, source, workload, settings, observer).run();
}

}  // namespace specmoe
