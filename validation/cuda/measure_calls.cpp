#include <algorithm>
#include <chrono>

#include "validation/calibration/null_machine.hpp"
#include "validation/calibration/shapes.hpp"
#include "validation/cuda/experiments.hpp"
#include "validation/cuda/host_probe.hpp"

namespace specmoe::cuda {

namespace {

const Kernel kSmall{Elementwise{1, 2048}};

}  // namespace

void measure_calls(Bench& bench) {
  Harness& harness = bench.harness;
  const OwnedStream& stream = harness.stream();
  const OwnedStream other;
  std::vector<OwnedEvent> events(200);
  const auto kernel = [&](cudaStream_t on) { bench.runner.launch(on, kSmall); };
  bench.progress("calls", 0);
  const auto add = [&](const std::string& name, const std::string& description,
                       const std::function<double()>& sample) {
    sample();
    Experiment experiment{description, {"one"}, {}};
    experiment.points.push_back(harness.repeat({1}, sample));
    bench.out.experiments["call/" + name] = std::move(experiment);
  };

  add("record", "seconds of the host to record an event", [&] {
    return harness.train(200, [&](int i) { events[static_cast<std::size_t>(i)].record(stream); }).host;
  });
  add("wait", "seconds of the host to let a stream wait for another's event", [&] {
    harness.block(other);
    events[0].record(other);
    const double host = host_seconds([&] {
                          for (int i = 0; i < 200; ++i)
                            check(cudaStreamWaitEvent(stream, events[0], 0), "cudaStreamWaitEvent");
                        }) /
                        200;
    harness.let_go();
    stream.synchronize();
    return host;
  });
  add("round_trip", "seconds of the host from a launch to the end of synchronizing with the event behind it",
      [&] {
        return host_seconds([&] {
                 for (std::size_t i = 0; i < 100; ++i) {
                   kernel(stream);
                   events[i].record(stream);
                   events[i].synchronize();
                 }
               }) /
               100;
      });
  PinnedBuffer answers(4096);
  DeviceBuffer device_answers(4096);
  add("routing_round_trip", "as round_trip, with a copy of 64 B to the host between kernel and event", [&] {
    return host_seconds([&] {
             for (std::size_t i = 0; i < 100; ++i) {
               kernel(stream);
               check(
                   cudaMemcpyAsync(answers.data(), device_answers.data(), 64, cudaMemcpyDeviceToHost, stream),
                   "cudaMemcpyAsync");
               events[i].record(stream);
               events[i].synchronize();
             }
           }) /
           100;
  });
  add("synchronize_reached", "seconds of the host to synchronize with an event that was reached before", [&] {
    events[0].record(stream);
    stream.synchronize();
    return host_seconds([&] {
             for (int i = 0; i < 1000; ++i) events[0].synchronize();
           }) /
           1000;
  });
  add("launch_free", "seconds a launch of small kernels with the GPU free to run them", [&] {
    const double time = host_seconds([&] {
      for (int i = 0; i < 500; ++i) kernel(stream);
      stream.synchronize();
    });
    return time / 500;
  });
  add("small_kernel", "seconds a small kernel on the GPU in a train of its like",
      [&] { return harness.train(200, [&](int) { kernel(stream); }).device; });
  add("small_kernel_and_event", "as small_kernel, an event recorded after each", [&] {
    return harness
        .train(150,
               [&](int i) {
                 kernel(stream);
                 events[static_cast<std::size_t>(i)].record(stream);
               })
        .device;
  });
  add("event_hop",
      "seconds a small kernel on the GPU, two streams in turn, each waiting for the other's event", [&] {
        constexpr int kHops = 80;
        const auto time = harness.train(1, [&](int) {
          for (int i = 0; i < kHops; ++i) {
            const cudaStream_t on = i % 2 ? other : stream, next = i % 2 ? stream : other;
            kernel(on);
            events[static_cast<std::size_t>(i)].record(on);
            check(cudaStreamWaitEvent(next, events[static_cast<std::size_t>(i)], 0), "cudaStreamWaitEvent");
          }
        });
        return time.device / kHops;
      });
  const PinnedBuffer source(4096);
  add("copy_hop",
      "seconds on the GPU a copy of 4 KiB in and a small kernel, on two streams, each waiting for the other",
      [&] {
        constexpr int kHops = 60;
        const auto time = harness.train(1, [&](int) {
          for (std::size_t i = 0; i < kHops; ++i) {
            check(cudaMemcpyAsync(device_answers.data(), source.data(), 4096, cudaMemcpyHostToDevice, stream),
                  "cudaMemcpyAsync");
            events[2 * i].record(stream);
            check(cudaStreamWaitEvent(other, events[2 * i], 0), "cudaStreamWaitEvent");
            kernel(other);
            events[2 * i + 1].record(other);
            check(cudaStreamWaitEvent(stream, events[2 * i + 1], 0), "cudaStreamWaitEvent");
          }
        });
        return time.device / kHops;
      });

  // As an engine loads on demand: the answer comes back, the host asks for an expert, a kernel waits for it.
  Experiment demand{
      "seconds of the host from asking for so many bytes to the end of a small kernel that waits for them; "
      "idle: the "
      "host first waited 300 us",
      {"bytes", "idle"},
      {}};
  DeviceBuffer expert(32 << 20);
  for (const std::int64_t bytes : {std::int64_t{9437184}, std::int64_t{17301504}})
    for (const std::int64_t idle : {0, 1})
      demand.points.push_back(harness.repeat({bytes, idle}, [&] {
        double sum = 0;
        for (std::size_t i = 0; i < 10; ++i) {
          const auto pause = std::chrono::steady_clock::now() + std::chrono::microseconds(300);
          while (idle && std::chrono::steady_clock::now() < pause) {
          }
          const char* from = bench.host.data() + static_cast<std::int64_t>(i) * (32 << 20);
          sum += host_seconds([&] {
            check(cudaMemcpyAsync(expert.data(), from, static_cast<std::size_t>(bytes),
                                  cudaMemcpyHostToDevice, other),
                  "cudaMemcpyAsync");
            events[2 * i].record(other);
            check(cudaStreamWaitEvent(stream, events[2 * i], 0), "cudaStreamWaitEvent");
            kernel(stream);
            events[2 * i + 1].record(stream);
            events[2 * i + 1].synchronize();
          });
        }
        return sum / 10;
      }));
  bench.out.experiments["call/demand_load"] = std::move(demand);

  // As an engine mixes them: what a class costs alone in a loop is less than what it costs among others.
  Experiment mixed{
      "seconds a launch of a decoding block's kernels: model 0 qwen1.5-moe-a2.7b, 1 mixtral-8x7b; what 0 of "
      "the host, the GPU "
      "blocked, 1 of the GPU, 2 of the host, the GPU free to run them",
      {"model", "sequences", "what"},
      {}};
  for (std::int64_t model = 0; model < 2; ++model)
    for (const std::int64_t sequences : {1, 4, 16, 64}) {
      const std::vector<Kernel> kernels = mixed_kernels(model, sequences);
      const auto call = [&](int) {
        for (const Kernel& each : kernels) bench.runner.launch(stream, each);
      };
      call(0);
      stream.synchronize();
      const auto launches = static_cast<double>(kernels.size());
      auto points = harness.repeat_all({model, sequences, 0}, [&] {
        const CallTime time = harness.train(8, call);
        return std::vector<double>{time.host / launches, time.device / launches,
                                   seconds_a_launch(bench.runner, stream, kernels)};
      });
      for (std::size_t i = 0; i < points.size(); ++i) {
        points[i].parameters[2] = static_cast<std::int64_t>(i);
        mixed.points.push_back(points[i]);
      }
    }
  bench.out.experiments["call/mixed"] = std::move(mixed);
}

void measure_engine(Bench& bench) {
  bench.progress("engine", 0);
  Experiment result{
      "seconds of the engine itself a call to its machine: a machine whose calls do nothing", {"batch"}, {}};
  for (const std::int64_t batch : {1, 4, 16, 64})
    result.points.push_back(bench.harness.repeat({batch}, [&] { return engine_seconds_per_call(batch); }));
  bench.out.experiments["engine/call"] = std::move(result);
}

}  // namespace specmoe::cuda
