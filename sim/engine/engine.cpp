#include "sim/engine/engine.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "models/hardware/kernel_price.hpp"
#include "models/moe/layer_graph.hpp"
#include "sim/base/input_error.hpp"
#include "sim/engine/expert_store.hpp"

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
  demand_bytes += other.demand_bytes;
  prefetch_bytes += other.prefetch_bytes;
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
        prices_(machine.platform(), settings.gpu),
        compute_(machine.open_stream(settings.gpu, "compute")),
        store_(machine, model, source, workload, settings, compute_) {
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
  // Launches, and counts the device's time for the operator.
  void launch(const std::vector<Kernel>& kernels, Operator part) {
    durations_[static_cast<std::size_t>(part)] += time_of(kernels);
    for (const Kernel& kernel : kernels) machine_.launch(compute_, kernel);
  }

  Seconds time_of(const std::vector<Kernel>& kernels) {
    Seconds sum;
    for (const Kernel& kernel : kernels) sum += prices_.time(kernel);
    return sum;
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

    durations_ = {};
    launch(model_.embed(shape), Operator::attention);
    record_.critical_path = durations_[0];
    const bool encoder = model_.encoder_decoder() && step.prefill;
    for (int block = 0; block < static_cast<int>(model_.blocks.size()); ++block) {
      const bool is_encoder = model_.blocks[static_cast<std::size_t>(block)].stack == Block::Stack::encoder;
      if (is_encoder == encoder) run_block(block, shape, next);
    }
    durations_ = {};
    if (!encoder && step.finishing > 0) launch(model_.head(step.finishing), Operator::attention);
    record_.critical_path += durations_[0];

    machine_.synchronize(machine_.record(compute_));
    record_.end = machine_.now();
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
    durations_ = {};
    Event routed;
    for (const Operator part : graph.issue_order()) switch (part) {
        case Operator::attention:
          launch(model_.attend(index, shape), part);
          break;
        case Operator::router:
          routed = launch_router(index, block.moe_layer, shape);
          break;
        case Operator::feed_forward:
          launch(model_.feed_forward(index, shape.tokens), part);
          break;
        case Operator::experts:
          machine_.synchronize(routed);
          run_experts(index, block.moe_layer, next);
          break;
        case Operator::combine:
          launch(model_.combine(index, shape.tokens), part);
          break;
      }
    record_.critical_path += graph.critical_path(durations_);
    block_ends_[static_cast<std::size_t>(index)] = machine_.record(compute_);
  }

  // The host needs the chosen experts, and the looked-ahead ones, before it can load: they come back in one
  // copy.
  Event launch_router(int index, int layer, const StepShape& shape) {
    launch(model_.route(index, shape.tokens), Operator::router);
    std::int64_t answers = 1;
    if (store_.predictor() && store_.predictor()->runs_router())
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
    for (std::size_t i = 0; i < waves_.size(); ++i) {
      store_.request(layer, waves_[i], i + 1 == waves_.size(), record_);
      launch_ready(index);
      // Prefetches queue behind the layer's own loads, and are issued while the device is busy.
      if (i == 0) store_.prefetch(routing_, next, layer, record_);
      store_.computed(store_.ready());
      while (const auto use = store_.next_awaited(record_)) {
        launch(model_.one_expert(index, use->expert, use->rows), Operator::experts);
        store_.computed({&*use, 1});
      }
    }
    store_.end_layer(layer);
    Seconds& experts = durations_[static_cast<std::size_t>(Operator::experts)];
    experts = std::min(experts, resident_time(index, layer));
  }

  // The layer's experts when all are resident: the same for every strategy.
  Seconds resident_time(int index, int layer) {
    expert_waves(routing_, layer, source_.experts(), true, waves_);
    const std::vector<ExpertUse>& uses = waves_.front();
    if (uses.empty()) return {};
    return std::min(grouped_time(index, uses), single_time(index, uses));
  }

  bool is_grouped(int index, const std::vector<ExpertUse>& uses) {
    if (settings_.grouped == Grouping::never || uses.size() < 2) return false;
    return settings_.grouped == Grouping::always || grouped_is_faster(index, uses);
  }

  // Many rows an expert fill tiles of their own; few are better off in one launch. As an engine that has timed both
  // on its device would choose; the host's launches count where they take longer than the kernels.
  bool grouped_is_faster(int index, const std::vector<ExpertUse>& uses) {
    const auto groups = static_cast<std::int64_t>(uses.size());
    const Seconds one_by_one = launches_of(model_.one_expert(index, 0, 1)) * static_cast<double>(groups);
    const Seconds together = launches_of(model_.grouped_experts(index, groups, rows_of(uses)));
    return std::max(grouped_time(index, uses), together) <= std::max(single_time(index, uses), one_by_one);
  }
  Seconds launches_of(const std::vector<Kernel>& kernels) const {
    Seconds sum;
    for (const Kernel& kernel : kernels) sum += machine_.platform()[settings_.gpu].launch_call(kernel);
    return sum;
  }

  static std::int64_t rows_of(const std::vector<ExpertUse>& uses) {
    std::int64_t rows = 0;
    for (const ExpertUse& use : uses) rows += use.rows;
    return rows;
  }

  // All routed experts have one shape, so their times are known by the number of rows (and groups).
  Seconds single_time(int index, const std::vector<ExpertUse>& uses) {
    Seconds sum;
    for (const ExpertUse& use : uses) {
      const auto [known, added] = single_times_.try_emplace(use.rows);
      if (added) known->second = time_of(model_.one_expert(index, use.expert, use.rows));
      sum += known->second;
    }
    return sum;
  }
  Seconds grouped_time(int index, const std::vector<ExpertUse>& uses) {
    const auto groups = static_cast<std::int64_t>(uses.size());
    const auto [known, added] = grouped_times_.try_emplace({groups, rows_of(uses)});
    if (added) known->second = time_of(model_.grouped_experts(index, groups, rows_of(uses)));
    return known->second;
  }

  void launch_ready(int index) {
    const std::vector<ExpertUse>& ready = store_.ready();
    if (is_grouped(index, ready)) {
      launch(model_.grouped_experts(index, static_cast<std::int64_t>(ready.size()), rows_of(ready)),
             Operator::experts);
    } else {
      for (const ExpertUse& use : ready)
        launch(model_.one_expert(index, use.expert, use.rows), Operator::experts);
    }
  }

  Machine& machine_;
  const MoeModel& model_;
  RoutingSource& source_;
  Workload workload_;
  const EngineSettings& settings_;
  EngineObserver& observer_;
  KernelPrices prices_;
  Stream compute_;
  ExpertStore store_;
  MemoryId host_;
  std::vector<LayerGraph> graphs_;
  StepRouting routing_, next_routing_;
  StepRecord record_;
  std::array<Seconds, kOperators> durations_{};
  std::vector<Event> block_ends_;
  std::vector<std::vector<ExpertUse>> waves_;
  std::map<std::int64_t, Seconds> single_times_;                            // by rows
  std::map<std::pair<std::int64_t, std::int64_t>, Seconds> grouped_times_;  // by groups and rows
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
  Engine(machine, model, source, workload, settings, observer).run();
}

}  // namespace specmoe
