// specmoe bench --policies: the part of a run that is spent in its eviction policy and its predictor.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "sim/cli/bench.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

namespace {

// Time spent inside calls. Reading the clock takes as long as a small call does, so its own time is measured and taken
// off.
struct Stopwatch {
  using Clock = std::chrono::steady_clock;
  double seconds = 0;
  std::int64_t calls = 0;

  template <class Work>
  auto measure(Work work) {
    struct Lap {
      Stopwatch& watch;
      Clock::time_point start = Clock::now();
      ~Lap() {
        watch.seconds += std::chrono::duration<double>(Clock::now() - start).count();
        ++watch.calls;
      }
    } lap{*this};
    return work();
  }
};
Stopwatch eviction_watch, predictor_watch;
const EvictionKind* timed_eviction;
const PredictorKind* timed_predictor;

class TimedEviction : public EvictionPolicy {
 public:
  explicit TimedEviction(const EvictionContext& context) : policy_(timed_eviction->make(context)) {}
  void started() override { policy_->started(); }
  void routed(const StepRouting& step, int layer) override {
    eviction_watch.measure([&] { policy_->routed(step, layer); });
  }
  void predicted(ExpertId id) override {
    eviction_watch.measure([&] { policy_->predicted(id); });
  }
  void entered(ExpertId id) override {
    eviction_watch.measure([&] { policy_->entered(id); });
  }
  void used(ExpertId id) override {
    eviction_watch.measure([&] { policy_->used(id); });
  }
  void left(ExpertId id) override {
    eviction_watch.measure([&] { policy_->left(id); });
  }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    return eviction_watch.measure([&] { return policy_->victim(may_leave); });
  }

 private:
  std::unique_ptr<EvictionPolicy> policy_;
};

class TimedPredictor : public Predictor {
 public:
  explicit TimedPredictor(const PredictorContext& context) : predictor_(timed_predictor->make(context)) {}
  void observe(const StepRouting& step, int layer) override {
    predictor_watch.measure([&] { predictor_->observe(step, layer); });
  }
  void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
               std::vector<ExpertId>& out) override {
    predictor_watch.measure([&] { predictor_->predict(step, next, layer, distance, out); });
  }
  bool runs_router() const override { return predictor_->runs_router(); }

 private:
  std::unique_ptr<Predictor> predictor_;
};

struct Share {
  double cpu, policy, hits;
};

struct Hits : EngineObserver {
  void step_ended(const StepRecord& step) override { counters += step.counters; }
  void run_ended(std::int64_t, Bytes) override {}
  Counters counters;
};

Share run(std::int64_t activities, const EvictionKind& eviction, const PredictorKind& predictor,
          bool of_predictor) {
  timed_eviction = &eviction;
  timed_predictor = &predictor;
  // Kinds whose makers wrap what is timed; parameters and needs are those of the timed.
  EvictionKind wrapped = eviction;
  wrapped.maker = [](const EvictionContext& context) -> std::unique_ptr<EvictionPolicy> {
    return std::make_unique<TimedEviction>(context);
  };
  PredictorKind wrapped_predictor = predictor;
  if (predictor.maker)
    wrapped_predictor.maker = [](const PredictorContext& context) -> std::unique_ptr<Predictor> {
      return std::make_unique<TimedPredictor>(context);
    };
  BenchRun bench(activities);
  RoutingGenerator source(bench.routing);
  bench.settings.eviction = of_predictor ? &eviction : &wrapped;
  bench.settings.predictor = of_predictor ? &wrapped_predictor : &predictor;
  bench.settings.accuracy = {{0.886}};
  for (int layer = 0; layer < bench.model.moe_layers; ++layer) {
    bench.settings.popularity.emplace_back();
    for (std::int64_t expert = 0; expert < bench.model.experts; ++expert)
      bench.settings.popularity.back().push_back(expert);
  }

  Stopwatch idle;
  for (int i = 0; i < 100'000; ++i) idle.measure([] {});
  double before = cpu_seconds();
  if (eviction.needs_future) future_uses(bench.model, source, bench.workload, true);
  const double future = cpu_seconds() - before;
  before = cpu_seconds();
  Hits hits;
  simulate(bench.platform, [&](Machine& machine) {
    run_engine(machine, bench.model, source, bench.workload, bench.settings, hits);
  });
  const Stopwatch& watch = of_predictor ? predictor_watch : eviction_watch;
  const double clock = idle.seconds / static_cast<double>(idle.calls) * static_cast<double>(watch.calls);
  // The clock is read twice a call, and half of that falls within what it measures.
  return {cpu_seconds() - before - 2 * clock, std::max(0.0, watch.seconds - clock) + future,
          static_cast<double>(hits.counters.hits) / static_cast<double>(hits.counters.accesses)};
}

void print(std::string_view name, std::int64_t activities, const EvictionKind& eviction,
           const PredictorKind& predictor, bool of_predictor) {
  // The clock also runs while another process has the core: the median of three.
  std::array<Share, 3> rounds;
  for (Share& round : rounds)
    round = measured([&] { return run(activities, eviction, predictor, of_predictor); });
  std::sort(rounds.begin(), rounds.end(),
            [](const Share& x, const Share& y) { return x.policy / x.cpu < y.policy / y.cpu; });
  const Share& median = rounds[1];
  fmt::print("{:<20}{:>10.3f}{:>12.2f}{:>10.1f}{:>10.1f}\n", name, median.cpu, median.policy * 1e3,
             median.policy / median.cpu * 100, median.hits * 100);
}

}  // namespace

void bench_policies(std::int64_t activities) {
  const EvictionKind& lru = eviction_kinds().front();
  const PredictorKind& none = predictor_kinds().front();
  const auto head = [](const char* what) {
    fmt::print("{:<20}{:>10}{:>12}{:>10}{:>10}\n", what, "CPU s", "in it, ms", "share %", "hits %");
  };
  head("eviction");
  for (const EvictionKind& kind : eviction_kinds()) print(kind.name, activities, kind, none, false);
  head("predictor, with lru");
  for (const PredictorKind& kind : predictor_kinds())
    if (kind.maker && kind.name != "external") print(kind.name, activities, lru, kind, true);
}

}  // namespace specmoe
