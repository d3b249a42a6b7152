// Times against pencil and paper, on the machine of test_platform.hpp: PCIe 25 GB/s each way, 40 GB/s both
// ways together, 10 GB/s pageable, 10 us a copy; a kernel(n) takes n nanoseconds.
#include <doctest/doctest.h>

#include <cmath>

#include "sim/base/input_error.hpp"
#include "tests/machine/recording.hpp"
#include "tests/machine/test_platform.hpp"

namespace specmoe::testing {
namespace {

doctest::Approx exactly(double value) { return doctest::Approx(value).epsilon(1e-9).scale(0); }

constexpr Bytes operator""_MB(unsigned long long count) {
  return {static_cast<std::int64_t>(count) * 1'000'000};
}

/// The host's calls cost nothing.
Platform free_calls(int gpus = 1) {
  Platform platform = test_platform(gpus);
  set_host_calls(platform, {});
  return platform;
}

void load(Machine& machine, Stream stream, Bytes bytes, MemoryId to = kVram) {
  machine.copy(stream, kRam, to, bytes, HostMemory::pinned);
}

void store(Machine& machine, Stream stream, Bytes bytes, MemoryId from = kVram) {
  machine.copy(stream, from, kRam, bytes, HostMemory::pinned);
}

TEST_CASE("simulated machine: one copy takes its call, the link's latency and its bytes") {
  const Recording run = run_simulated(test_platform(), [](Machine& machine, auto&) {
    load(machine, machine.open_stream(kGpu, "copies"), 250_MB);
  });
  REQUIRE(run.spans.size() == 1);
  CHECK(run.spans[0].start == exactly(2e-6));
  // 2 us + 10 us + 250 MB / 25 GB/s = 10.012 ms
  CHECK(run.spans[0].end == exactly(10.012e-3));
  CHECK(run.end == exactly(10.012e-3));
}

TEST_CASE("simulated machine: a small copy reaches s / (s + half size) of the bandwidth") {
  Platform platform = free_calls();
  platform.links[0].half_size = {250'000};
  platform.links[2].half_size = {100'000};  // the larger of the route counts
  const Recording run = run_simulated(
      platform, [](Machine& machine, auto&) { load(machine, machine.open_stream(kGpu, "copies"), 1_MB); });
  // 10 us + 1.25 MB / 25 GB/s = 60 us
  CHECK(run.spans[0].end == exactly(60e-6));
}

TEST_CASE("simulated machine: copies and kernels overlap as a pipeline") {
  for (const std::int64_t nanoseconds : {500'000, 2'000'000}) {
    const Recording run = run_simulated(free_calls(), [=](Machine& machine, auto&) {
      const Stream compute = machine.open_stream(kGpu, "compute"),
                   copies = machine.open_stream(kGpu, "copies");
      for (int i = 0; i < 3; ++i) {
        load(machine, copies, 25_MB);
        machine.wait(compute, machine.record(copies));
        machine.launch(compute, kernel(nanoseconds));
      }
    });
    const std::vector<Span> kernels = run.of({0}), loads = run.of({1});
    // a copy takes 10 us + 25 MB / 25 GB/s = 1.01 ms
    for (int i = 0; i < 3; ++i) CHECK(loads[i].end == exactly(1.01e-3 * (i + 1)));
    // kernels of 0.5 ms each wait for their copy; those of 2 ms follow each other after the first copy
    for (int i = 0; i < 3; ++i)
      CHECK(kernels[i].end ==
            exactly(nanoseconds == 500'000 ? 1.01e-3 * (i + 1) + 0.5e-3 : 1.01e-3 + 2e-3 * (i + 1)));
  }
}

TEST_CASE("simulated machine: copies of two GPUs share their link max-min fairly") {
  Platform platform = free_calls(2);
  platform.links[3].forward = platform.links[3].backward = {5e9};  // the slot of gpu1
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    load(machine, machine.open_stream(kGpu, "gpu0"), 100_MB);
    load(machine, machine.open_stream(kGpu1, "gpu1"), 20_MB, kVram1);
  });
  // gpu1 at 5 GB/s: 4 ms. gpu0 has the other 20 GB/s for 4 ms, 80 MB, then 20 MB at 25 GB/s: 0.8 ms
  CHECK(run.of({1})[0].end == exactly(4.01e-3));
  CHECK(run.of({0})[0].end == exactly(4.81e-3));
}

TEST_CASE("simulated machine: equal copies of two GPUs each have half of their link") {
  const Recording run = run_simulated(free_calls(2), [](Machine& machine, auto&) {
    load(machine, machine.open_stream(kGpu, "gpu0"), 100_MB);
    load(machine, machine.open_stream(kGpu1, "gpu1"), 25_MB, kVram1);
  });
  // 12.5 GB/s each: 25 MB in 2 ms; then 75 MB at 25 GB/s: 3 ms
  CHECK(run.of({1})[0].end == exactly(2.01e-3));
  CHECK(run.of({0})[0].end == exactly(5.01e-3));
}

TEST_CASE("simulated machine: both directions together have the link's duplex bandwidth") {
  const Recording run = run_simulated(free_calls(), [](Machine& machine, auto&) {
    load(machine, machine.open_stream(kGpu, "in"), 100_MB);
    store(machine, machine.open_stream(kGpu, "out"), 50_MB);
  });
  // 20 GB/s each: 50 MB out in 2.5 ms; the 50 MB left in at 25 GB/s: 2 ms
  CHECK(run.of({1})[0].end == exactly(2.51e-3));
  CHECK(run.of({0})[0].end == exactly(4.51e-3));
}

// SimGrid's defaults would make this 5 % longer (cross traffic) or more (bandwidth factor, TCP window).
TEST_CASE("simulated machine: without loss each direction has its whole bandwidth, whatever the other does") {
  Platform platform = free_calls();
  platform.links[0].duplex = {50e9};
  platform.links[0].latency = {100e-6};
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    load(machine, machine.open_stream(kGpu, "in"), 250_MB);
    store(machine, machine.open_stream(kGpu, "out"), 250_MB);
  });
  // 100 us + 250 MB / 25 GB/s
  CHECK(run.of({0})[0].end == exactly(10.1e-3));
  CHECK(run.of({1})[0].end == exactly(10.1e-3));
}

TEST_CASE("simulated machine: decoding is launch-bound when a launch costs more than its kernel") {
  const Recording run = run_simulated(test_platform(), [](Machine& machine, auto& notes) {
    const Stream stream = machine.open_stream(kGpu, "compute");
    for (int i = 0; i < 100; ++i) machine.launch(stream, kernel(1000));
    machine.synchronize(machine.record(stream));
    notes.push_back(machine.now().value);
  });
  // 100 launches of 4 us, and the last kernel's 1 us
  CHECK(run.spans.back().end == exactly(401e-6));
  CHECK(run.spans[49].start == exactly(200e-6));
  // the host has 400 us of launches, 0.5 us of record, 1 us of synchronize behind it: later than the kernel
  CHECK(run.notes[0] == exactly(401.5e-6));
}

TEST_CASE("simulated machine: long kernels follow each other and the host waits for them") {
  const Recording run = run_simulated(test_platform(), [](Machine& machine, auto& notes) {
    const Stream stream = machine.open_stream(kGpu, "compute");
    for (int i = 0; i < 100; ++i) machine.launch(stream, kernel(10'000));
    const Event end = machine.record(stream);
    notes.push_back(machine.now().value);
    machine.synchronize(end);
    notes.push_back(machine.now().value);
    notes.push_back(machine.time_of(end).value);
    machine.launch(stream, kernel(10'000));
  });
  // the first launch, then 100 kernels of 10 us
  CHECK(run.spans[99].end == exactly(1004e-6));
  CHECK(run.notes[0] == exactly(400.5e-6));
  CHECK(run.notes[1] == exactly(1004e-6));
  CHECK(run.notes[2] == exactly(1004e-6));
  // the next launch begins when the host has come back
  CHECK(run.spans[100].start == exactly(1008e-6));
}

TEST_CASE("simulated machine: a copy from pageable memory is slower and blocks the host") {
  const Recording run = run_simulated(test_platform(), [](Machine& machine, auto& notes) {
    const Stream compute = machine.open_stream(kGpu, "compute"), copies = machine.open_stream(kGpu, "copies");
    machine.copy(copies, kRam, kVram, 100_MB, HostMemory::pageable);
    notes.push_back(machine.now().value);
    machine.launch(compute, kernel(1000));
  });
  // 2 us + 10 us + 100 MB / 10 GB/s = 10.012 ms
  CHECK(run.of({1})[0].end == exactly(10.012e-3));
  CHECK(run.notes[0] == exactly(10.012e-3));
  CHECK(run.of({0})[0].start == exactly(10.016e-3));
}

TEST_CASE("simulated machine: a copy engine serves the copies of its streams first come, first served") {
  const Recording run = run_simulated(free_calls(), [](Machine& machine, auto&) {
    const Stream a = machine.open_stream(kGpu, "a"), b = machine.open_stream(kGpu, "b");
    machine.launch(a, kernel(500'000));
    load(machine, a, 25_MB);  // reached at 0.5 ms
    load(machine, b, 25_MB);  // reached at 0
    load(machine, b, 25_MB);  // reached at 1.01 ms, after a's
    store(machine, a, 20_MB);
  });
  const std::vector<Span> a = run.of({0}), b = run.of({1});
  CHECK(b[0].start == 0);
  CHECK(b[0].end == exactly(1.01e-3));
  CHECK(a[1].start == exactly(1.01e-3));
  CHECK(a[1].end == exactly(2.02e-3));
  CHECK(b[1].start == exactly(2.02e-3));
  // the other direction has its own engine. From 2.03 ms on both have 20 GB/s: 20 MB out by 3.03 ms; in are
  // 20 MB too, and the 5 MB left take 0.2 ms
  CHECK(a[2].start == exactly(2.02e-3));
  CHECK(a[2].end == exactly(3.03e-3));
  CHECK(b[1].end == exactly(3.23e-3));
}

TEST_CASE("simulated machine: kernels of two streams share the device") {
  const Recording run = run_simulated(free_calls(), [](Machine& machine, auto&) {
    machine.launch(machine.open_stream(kGpu, "a"), kernel(1'000'000));
    machine.launch(machine.open_stream(kGpu, "b"), kernel(3'000'000));
    machine.launch(machine.open_stream(kCpu, "cpu"), kernel(1'000));
  });
  // half of the GPU each until a ends at 2 ms; then b's last 2 ms alone
  CHECK(run.of({0})[0].end == exactly(2e-3));
  CHECK(run.of({1})[0].end == exactly(4e-3));
  // 2 kB on the CPU's memory of 1 TB/s = 2 ns
  CHECK(run.of({2})[0].end == exactly(2e-9));
}

TEST_CASE("simulated machine: microsecond kernels are exact after 100 simulated seconds") {
  const Recording run = run_simulated(free_calls(), [](Machine& machine, auto&) {
    const Stream stream = machine.open_stream(kGpu, "compute");
    machine.launch(stream, kernel(100'000'000'000));
    for (int i = 0; i < 1000; ++i) machine.launch(stream, kernel(1000));
  });
  // 100 s + i us, within 1e-11 s: a thousand roundings of a date of 100 s, each of at most 0.7e-14 s
  for (int i = 0; i <= 1000; ++i)
    CHECK(std::abs(run.spans[static_cast<std::size_t>(i)].end - (100 + i * 1e-6)) < 1e-11);
}

TEST_CASE("simulated machine: a copy from or to a disk ends with the slower of disk and links") {
  const Recording run = run_simulated(free_calls(), [](Machine& machine, auto&) {
    const Stream stream = machine.open_stream(kGpu, "copies");
    machine.copy(stream, kNvme, kVram, 50_MB, HostMemory::pinned);
    machine.copy(stream, kVram, kNvme, 50_MB, HostMemory::pinned);
    machine.copy(stream, kNvme, kVram, 1'000'000_MB, HostMemory::pinned);
  });
  // 10 us + 50 MB / 5 GB/s (disk; 8 GB/s are the narrower of M.2 and PCIe) = 10.01 ms
  CHECK(run.spans[0].end == exactly(10.01e-3));
  // 10 us + 50 MB / 2.5 GB/s (disk) = 20.01 ms
  CHECK(run.spans[1].end - run.spans[1].start == exactly(20.01e-3));
  // 10 us + 1 TB / 5 GB/s = 200.00001 s
  CHECK(run.spans[2].end - run.spans[2].start == exactly(200.00001));
}

TEST_CASE("simulated machine: copies between memories that are no GPU's queue by their ends") {
  const Recording run = run_simulated(free_calls(), [](Machine& machine, auto&) {
    const Stream a = machine.open_stream(kCpu, "a"), b = machine.open_stream(kCpu, "b");
    machine.copy(a, kNvme, kRam, 40_MB, HostMemory::pinned);
    machine.copy(b, kNvme, kRam, 40_MB, HostMemory::pinned);
  });
  // 40 MB / 5 GB/s = 8 ms each, one after the other
  CHECK(run.of({0})[0].end == exactly(8e-3));
  CHECK(run.of({1})[0].start == exactly(8e-3));
  CHECK(run.of({1})[0].end == exactly(16e-3));
}

TEST_CASE("simulated machine: copies of no bytes and kernels of no time end where they start") {
  Platform platform = free_calls();
  platform.links[0].latency = {0};
  const Recording run = run_simulated(platform, [](Machine& machine, auto& notes) {
    const Stream stream = machine.open_stream(kGpu, "stream");
    for (int i = 0; i < 10; ++i) {
      machine.launch(stream, kernel(0));
      load(machine, stream, {0});
      machine.copy(stream, kNvme, kVram, {0}, HostMemory::pageable);
    }
    machine.synchronize(machine.record(stream));
    notes.push_back(machine.now().value);
    machine.launch(stream, kernel(1000));
  });
  CHECK(run.spans.size() == 31);
  CHECK(run.notes[0] == 0);
  CHECK(run.end == exactly(1e-6));
}

TEST_CASE("simulated machine: a program that only returns has taken the host's time") {
  CHECK(run_simulated(test_platform(), [](Machine&, auto&) {}).end == 0);
  const Recording run = run_simulated(
      test_platform(), [](Machine& machine, auto&) { machine.record(machine.open_stream(kGpu, "stream")); });
  CHECK(run.end == exactly(0.5e-6));
}

TEST_CASE("simulated machine: an event is released when nobody holds it") {
  const Recording run = run_simulated(test_platform(), [](Machine& machine, auto& notes) {
    const Stream a = machine.open_stream(kGpu, "a"), b = machine.open_stream(kGpu, "b");
    machine.launch(a, kernel(1000));
    Event event = machine.record(a);
    const std::weak_ptr<EventState> watch = event;
    machine.wait(b, event);
    event.reset();
    notes.push_back(watch.expired());
    machine.synchronize(machine.record(b));
    notes.push_back(watch.expired());
  });
  CHECK(run.notes == std::vector<double>{0, 1});
}

}  // namespace
}  // namespace specmoe::testing
