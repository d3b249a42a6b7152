// A predictor's network on the machine: where it runs, what waits for it, what it delays.
#include <doctest/doctest.h>

#include <map>

#include "sim/base/isolated.hpp"
#include "tests/approx.hpp"
#include "tests/engine/small_run.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

using RunsOn = PredictorCost::RunsOn;

// On the GPU of the test platform, 2 GB/s: 2 (100 x 100 + 100 + 100) B = 10.2 us, and 2 x 2 x 100 B = 0.2 us over the
// result.
const NetworkPart kPass{{{1, 100, 100}}, {}};
constexpr double kPassTime = 10.4;
// The way back to the host: 16 B / 25 GB/s after 10 us.
constexpr double kAnswer = 10.00064;

struct Dates : Log {
  void copy_ended(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
                  Seconds end) override {
    Log::copy_ended(stream, label, route, bytes, start, end);
    note(label.name, start, end);
    all += fmt::format("{} {:a} {:a}\n", label.name, start.value, end.value);
  }
  void kernel_ended(Stream stream, const Kernel& kernel, Seconds start, Seconds end) override {
    Log::kernel_ended(stream, kernel, start, end);
    note(kernel.expert >= 0 ? "expert" : kernel.name, start, end);
    all += fmt::format("{} {:a} {:a}\n", kernel.name, start.value, end.value);
    if (kernel.name == kPredictorKernel) ++passes;
  }
  void note(const std::string& name, Seconds start, Seconds end) {
    first.try_emplace(name, start.value * 1e6);
    last[name] = end.value * 1e6;
  }
  std::map<std::string, double> first, last;  // start of the first and end of the last of a name, us
  std::string all;
  int passes = 0;
};

struct Result {
  std::string log, all;
  std::map<std::string, double> numbers;  // dates, and counts
};

// One token that wants experts 0 and 1 of layer 0, which are there, and 2 and 3 of layer 1, which are not. The host's
// calls cost nothing; each kernel of the CPU takes `cpu`.
Result run(EngineSettings s, const std::optional<PredictorCost>& cost, double cpu = 200e-6) {
  s.predictor_cost = cost;
  s.start = &start_named("popular");
  s.popularity = {{9, 8, 7, 6}, {0, 0, 0, 0}};
  const std::string text = run_isolated([&] {
    Platform platform = test_platform();
    set_host_calls(platform, {});
    for (Saturation& each : platform.devices[0].saturation) each.floor = {cpu};
    const MoeModel model = tiny(kModel);
    Script source(2, 4, 2, 0, {{0, 1, 2, 3}});
    Workload workload;
    workload.prefill = false;
    Dates log;
    simulate(
        platform, [&](Machine& machine) { run_engine(machine, model, source, workload, s, log); }, &log);
    std::string numbers;
    for (const auto& [name, date] : log.first) numbers += fmt::format("first-{} {:.12g} ", name, date);
    for (const auto& [name, date] : log.last) numbers += fmt::format("last-{} {:.12g} ", name, date);
    return fmt::format("{}useful {} late {} passes {} |{}|{}", numbers, log.counters.useful,
                       log.counters.late, log.passes, log.text(), log.all);
  });
  Result result;
  const std::size_t bar = text.find('|'), second = text.find('|', bar + 1);
  std::istringstream numbers(text.substr(0, bar));
  double number = 0;
  for (std::string name; numbers >> name >> number;) result.numbers[name] = number;
  result.log = text.substr(bar + 1, second - bar - 1);
  result.all = text.substr(second + 1);
  return result;
}

EngineSettings with_predictor(const char* name) {
  EngineSettings s = settings_for(tiny(kModel), 4);
  s.predictor = &predictor_named(name);
  s.accuracy = {{0.0}};
  return s;
}

PredictorCost cost_of(RunsOn where, NetworkPart step, NetworkPart layer) {
  return {{"test", 0, std::move(step), std::move(layer)}, where};
}

}  // namespace

TEST_CASE("network: its kernels are products, what follows them, and attention") {
  StepShape shape;
  shape.add_sequence(10, 1, 0);
  shape.add_sequence(20, 1, 0);
  const NetworkPart part{{{3, 320, 960}}, {{4, 64, 32}, {4, 64, -1}}};
  const auto kernels = part.kernels(shape, WeightFormat::fp32, 5);
  REQUIRE(kernels.size() == 4);
  CHECK(std::get<Gemm>(kernels[0].work) == Gemm{6, 960, 320, WeightFormat::fp32});
  CHECK(std::get<Elementwise>(kernels[1].work) == Elementwise{6, 960});
  // two queries to 32 keys each; to 11 + 21 positions
  CHECK(std::get<Attention>(kernels[2].work) == Attention{2, 2, 64, 64, 4, 4, 64});
  CHECK(std::get<Attention>(kernels[3].work) == Attention{2, 2, 32, 32, 4, 4, 64});
  CHECK(kernels[3].layer == 5);
  CHECK(PredictorNetwork{"", 0, part, part}.weights() == 2 * 320 * 960);
}

TEST_CASE("predictor pass: without one the prefetch starts when the routing is known") {
  const Result free = run(with_predictor("oracle"), std::nullopt);
  CHECK(free.numbers.at("first-prefetch") == specmoe::approx(free.numbers.at("first-expert")));
  // Two copies of 24,576 B / 25 GB/s after 10 us are there before layer 1 wants them.
  CHECK(free.numbers.at("useful") == 2);
  CHECK(free.numbers.at("passes") == 0);
}

TEST_CASE(
    "predictor pass: on a second stream it shares the device, and the prefetch starts when its answer is "
    "there") {
  const Result free = run(with_predictor("oracle"), std::nullopt);
  const Result result = run(with_predictor("oracle"), cost_of(RunsOn::stream, {}, kPass));
  const double routed = free.numbers.at("first-expert");
  CHECK(result.numbers.at("passes") == 4);  // two kernels a layer
  CHECK(result.numbers.at("first-predictor") == specmoe::approx(routed));
  CHECK(result.numbers.at("first-expert") == specmoe::approx(routed));
  // Beside the layer's experts each stream has half of the device.
  CHECK(result.numbers.at("first-prefetch") == specmoe::approx(routed + 2 * kPassTime + kAnswer));
}

TEST_CASE("predictor pass: on the compute stream it goes before the layer's experts") {
  const Result free = run(with_predictor("oracle"), std::nullopt);
  const Result result = run(with_predictor("oracle"), cost_of(RunsOn::compute, {}, kPass));
  const double routed = free.numbers.at("first-expert");
  CHECK(result.numbers.at("first-expert") == specmoe::approx(routed + kPassTime));
  CHECK(result.numbers.at("first-prefetch") == specmoe::approx(routed + kPassTime + kAnswer));
  // In time all the same: the step is longer by two passes.
  CHECK(result.numbers.at("useful") == 2);
  CHECK(result.numbers.at("last-lm_head") ==
        specmoe::approx(free.numbers.at("last-lm_head") + 2 * kPassTime));
}

TEST_CASE("predictor pass: a late answer makes prefetches late that would be in time") {
  const Result free = run(with_predictor("oracle"), cost_of(RunsOn::free, {}, kPass));
  CHECK(free.all == run(with_predictor("oracle"), std::nullopt).all);
  // On the CPU, 200 us for each of the two kernels, and no way back.
  const Result result = run(with_predictor("oracle"), cost_of(RunsOn::cpu, {}, kPass));
  const double routed = free.numbers.at("first-expert");
  CHECK(result.numbers.at("first-expert") == specmoe::approx(routed));
  CHECK(result.numbers.at("first-prefetch") == specmoe::approx(routed + 400));
  CHECK(free.numbers.at("useful") == 2);
  // The second comes 0.98 us after the first, while that is computed.
  CHECK(result.numbers.at("useful") == 1);
  CHECK(result.numbers.at("late") == 1);
}

TEST_CASE("predictor pass: what runs once a step starts with it, and is there for every layer") {
  const Result result = run(with_predictor("oracle"), cost_of(RunsOn::cpu, kPass, {}));
  CHECK(result.numbers.at("passes") == 2);
  CHECK(result.numbers.at("first-predictor") == 0);
  CHECK(result.numbers.at("first-prefetch") == specmoe::approx(400.0));
}

TEST_CASE("predictor pass: a load follows what is copied ahead, and overtakes what waits for its answer") {
  // The gate names experts 0 and 1 of layer 1: wrong. One network stands in for its router.
  const auto order = [&](double cpu) {
    return run(with_predictor("gate"), cost_of(RunsOn::cpu, {}, kPass), cpu).log;
  };
  const std::string in_time = order(1e-6), late = order(200e-6);
  CHECK(in_time.find("prefetch L1 E1") < in_time.find("load L1 E2"));
  CHECK(late.find("load L1 E3") < late.find("prefetch L1 E0"));
  // What is decided is the same.
  CHECK(in_time.size() == late.size());
}

TEST_CASE("predictor pass: a network that computes nothing is free, to the byte") {
  for (const RunsOn where : {RunsOn::stream, RunsOn::compute, RunsOn::cpu})
    CHECK(run(with_predictor("gate"), cost_of(where, {}, {})).all ==
          run(with_predictor("gate"), cost_of(RunsOn::free, {}, {})).all);
  // The gate's own routers cost something.
  CHECK(run(with_predictor("gate"), cost_of(RunsOn::free, {}, {})).all !=
        run(with_predictor("gate"), std::nullopt).all);
}

TEST_CASE("predictor pass: parameters take GPU memory, unless they are the CPU's or free") {
  PredictorCost cost = cost_of(RunsOn::stream, {}, kPass);
  cost.network.parameters = 1'000'000;
  CHECK(cost.memory() == Bytes{2'000'000});
  cost.precision = WeightFormat::fp32;
  CHECK(cost.memory() == Bytes{4'000'000});
  cost.runs_on = RunsOn::compute;
  CHECK(cost.memory() == Bytes{4'000'000});
  for (const RunsOn where : {RunsOn::cpu, RunsOn::free}) {
    cost.runs_on = where;
    CHECK(cost.memory() == Bytes{0});
  }
}
