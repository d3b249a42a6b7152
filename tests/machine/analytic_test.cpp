// Times against pencil and paper, on the machine of test_platform.hpp: PCIe 25 GB/s each way, 40 GB/s both
// ways together, 10 GB/s pageable, 10 us a copy; a kernel(n) takes n nanoseconds.
#include <doctest/doctest.h>

#include <cmath>
#include <iterator>

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
  platform.links[0].forward.half_size = {250'000};
  platform.links[0].pageable_forward.half_size = {900'000};  // of other copies
  platform.links[2].forward.half_size = {100'000};           // the larger of the route counts
  const Recording run = run_simulated(
      platform, [](Machine& machine, auto&) { load(machine, machine.open_stream(kGpu, "copies"), 1_MB); });
  // 10 us + 1.25 MB / 25 GB/s = 60 us
  CHECK(run.spans[0].end == exactly(60e-6));
}

TEST_CASE("simulated machine: a copy that follows another on its engine without a pause takes no latency") {
  const Recording run = run_simulated(free_calls(), [](Machine& machine, auto&) {
    const Stream compute = machine.open_stream(kGpu, "compute"), a = machine.open_stream(kGpu, "a"),
                 b = machine.open_stream(kGpu, "b");
    machine.launch(compute, kernel(5'000'000));
    const Event late = machine.record(compute);
    load(machine, a, 25_MB);
    load(machine, a, 25_MB);             // follows in its stream
    machine.wait(b, machine.record(a));  // once both have ended,
    load(machine, b, 25_MB);             // another stream's follows on the same date
    machine.wait(a, late);               // while the engine stands still
    load(machine, a, 25_MB);
    store(machine, a, 20_MB);  // on an engine of its own
  });
  const std::vector<Span> a = run.of({1}), b = run.of({2});
  // 10 us + 25 MB / 25 GB/s = 1.01 ms, then 1 ms each
  CHECK(a[0].end == exactly(1.01e-3));
  CHECK(a[1].end == exactly(2.01e-3));
  CHECK(b[0].end == exactly(3.01e-3));
  // the kernel ends at 5 ms: 10 us + 1 ms after it; then 10 us + 20 MB / 25 GB/s
  CHECK(a[2].end == exactly(6.01e-3));
  CHECK(a[3].end == exactly(6.82e-3));
}

TEST_CASE("simulated machine: a copy that the host issues after the one before has ended takes its latency") {
  const Recording run = run_simulated(test_platform(), [](Machine& machine, auto&) {
    const Stream copies = machine.open_stream(kGpu, "copies");
    machine.copy(copies, kRam, kVram, 10_MB, HostMemory::pageable);  // the host goes on when it has ended
    machine.copy(copies, kRam, kVram, 10_MB, HostMemory::pageable);
  });
  // twice 2 us for the call, 10 us and 10 MB / 10 GB/s
  CHECK(run.spans[0].end == exactly(1.012e-3));
  CHECK(run.spans[1].end == exactly(2.024e-3));
}

TEST_CASE(
    "simulated machine: pinned and pageable copies, in and out, have latencies and half sizes of their own") {
  Platform platform = free_calls();
  Link& pcie = platform.links[0];
  pcie.forward = {{25e9}, {10e-6}, {250'000}};
  pcie.backward = {{20e9}, {20e-6}, {200'000}};
  pcie.pageable_forward = {{10e9}, {30e-6}, {300'000}};
  pcie.pageable_backward = {{5e9}, {40e-6}, {400'000}};
  const Recording run = run_simulated(platform, [](Machine& machine, auto& notes) {
    const Stream stream = machine.open_stream(kGpu, "copies");
    for (const HostMemory host : {HostMemory::pinned, HostMemory::pageable}) {
      machine.copy(stream, kRam, kVram, 1_MB, host);
      machine.copy(stream, kVram, kRam, 1_MB, host);
    }
    notes.push_back(machine.now().value);
  });
  const auto takes = [&](std::size_t i) { return run.spans[i].end - run.spans[i].start; };
  CHECK(takes(0) == exactly(60e-6));       // 10 us + 1.25 MB / 25 GB/s
  CHECK(takes(1) == exactly(80e-6));       // 20 us + 1.2 MB / 20 GB/s
  CHECK(takes(2) == exactly(160e-6));      // 30 us + 1.3 MB / 10 GB/s
  CHECK(takes(3) == exactly(320e-6));      // 40 us + 1.4 MB / 5 GB/s
  CHECK(run.notes[0] == exactly(620e-6));  // no call of the host costs anything
}

TEST_CASE(
    "simulated machine: a kernel that starts while a copy crosses to or from its memory is slowed down") {
  Platform platform = free_calls(2);
  platform.devices[1].copy_slowdown_memory = 0.5;
  for (const bool in : {true, false})
    for (const MemoryId memory : {kVram, kVram1}) {
      const Recording run = run_simulated(platform, [=](Machine& machine, auto&) {
        const Stream compute = machine.open_stream(kGpu, "compute"),
                     copies = machine.open_stream(kGpu, "copies");
        in ? load(machine, copies, 2_MB, memory) : store(machine, copies, 2_MB, memory);
        for (const std::int64_t nanoseconds : {8'000, 20'000, 60'000, 10'000})
          machine.launch(compute, kernel(nanoseconds));
      });
      const std::vector<Span> kernels = run.of({0});
      // 2 MB / 25 GB/s: they cross from 10 us, the latency, to 90 us
      CHECK(kernels[1].end == exactly(28e-6));  // 8 us + 20 us: started in the latency
      // 60 us, and a half of them though the copy ends before; not by another GPU's copy
      CHECK(kernels[2].end == exactly(memory == kVram ? 118e-6 : 88e-6));
      CHECK(kernels[3].end == exactly(memory == kVram ? 128e-6 : 98e-6));
    }
}

TEST_CASE(
    "simulated machine: a kernel after one of another shape takes a change longer, after its like it does "
    "not") {
  Platform platform = free_calls(2);
  platform.devices[1].kernel_change = {3e-6};
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    const Stream one = machine.open_stream(kGpu, "one"), other = machine.open_stream(kGpu1, "other");
    machine.launch(one, kernel(8'000));  // the first of its stream
    machine.launch(one, kernel(8'000));
    machine.launch(one, kernel(20'000));
    machine.launch(one, {TopK{1, 8, 1}});
    machine.launch(one, kernel(20'000));
    machine.launch(other, kernel(8'000));  // another stream: no change
    machine.launch(other, kernel(9'000));  // another device, whose changes cost nothing
  });
  const std::vector<Span> kernels = run.of({0}), others = run.of({1});
  CHECK(kernels[1].end == exactly(16e-6));                            // 8 + 8
  CHECK(kernels[2].end == exactly(39e-6));                            // 16 + 3 + 20
  CHECK(kernels[3].end - kernels[3].start == exactly(3e-6 + 12e-9));  // 24 B at 2 GB/s
  CHECK(kernels[4].end - kernels[4].start == exactly(23e-6));
  CHECK(others[1].end == exactly(17e-6));
}

TEST_CASE(
    "simulated machine: copies within a GPU's memory cross no link, one after another, and slow its "
    "kernels") {
  Platform platform = free_calls();
  platform.memories[2].copies = Direction{{1e9}, {5e-6}, {10'000}};
  platform.devices[1].copy_slowdown_memory = 0.5;
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    const Stream copies = machine.open_stream(kGpu, "copies"), in = machine.open_stream(kGpu, "in"),
                 compute = machine.open_stream(kGpu, "compute");
    machine.copy(copies, kVram, kVram, {40'000}, HostMemory::pinned, {});
    machine.copy(copies, kVram, kVram, {90'000}, HostMemory::pinned, {});
    load(machine, in, 1_MB);
    machine.launch(compute, kernel(60'000));  // starts before the copies have come to the memory
    machine.launch(compute, kernel(20'000));
  });
  const std::vector<Span> within = run.of({0}), link = run.of({1}), kernels = run.of({2});
  CHECK(within[0].end == exactly(55e-6));   // 5 us + (40 + 10) kB / 1 GB/s
  CHECK(within[1].end == exactly(155e-6));  // right behind it: (90 + 10) kB / 1 GB/s
  CHECK(link[0].end == exactly(50e-6));     // 10 us + 1 MB / 25 GB/s: another engine, another way
  CHECK(kernels[0].end == exactly(60e-6));
  CHECK(kernels[1].end == exactly(90e-6));  // 20 us and a half of it
}

TEST_CASE("simulated machine: copies slow a kernel down by what bounds it") {
  Platform platform = free_calls();
  platform.memories[2].read = {1e12};
  Device& gpu = platform.devices[1];
  gpu.copy_slowdown_memory = 0.5;
  gpu.copy_slowdown_compute = 0.25;
  gpu.peak[WeightFormat::bf16] = {1e12};
  gpu.saturation[4].floor = {30e-6};
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    const Stream compute = machine.open_stream(kGpu, "compute"), copies = machine.open_stream(kGpu, "copies");
    load(machine, copies, 250_MB);
    machine.launch(compute, kernel(10'000'000));
    machine.launch(compute, {Gemm{100, 1000, 1000}});
    machine.launch(compute, {TopK{1, 8, 1}});
  });
  const std::vector<Span> kernels = run.of({0});
  // 20 MB / 1 TB/s = 20 us, started before the bytes; 2e8 operations / 1 TFLOP/s = 200 us, by a quarter longer;
  // a kernel at its floor of 30 us counts as bound by memory: by a half
  CHECK(kernels[0].end == exactly(20e-6));
  CHECK(kernels[1].end == exactly(270e-6));
  CHECK(kernels[2].end == exactly(315e-6));
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
    // the first copy takes 10 us, each 25 MB / 25 GB/s = 1 ms
    for (int i = 0; i < 3; ++i) CHECK(loads[i].end == exactly(10e-6 + 1e-3 * (i + 1)));
    // kernels of 0.5 ms each wait for their copy; those of 2 ms follow each other after the first copy
    for (int i = 0; i < 3; ++i)
      CHECK(kernels[i].end ==
            exactly(nanoseconds == 500'000 ? 10e-6 + 1e-3 * (i + 1) + 0.5e-3 : 1.01e-3 + 2e-3 * (i + 1)));
  }
}

TEST_CASE("simulated machine: copies of two GPUs share their link max-min fairly") {
  Platform platform = free_calls(2);
  for (Direction* slot : directions(platform.links[3])) slot->bandwidth = {5e9};  // of gpu1
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
  platform.links[0].forward.latency = {100e-6};
  platform.links[0].backward.latency = {50e-6};
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    load(machine, machine.open_stream(kGpu, "in"), 250_MB);
    store(machine, machine.open_stream(kGpu, "out"), 250_MB);
  });
  // 100 us + 250 MB / 25 GB/s; 50 us + as much
  CHECK(run.of({0})[0].end == exactly(10.1e-3));
  CHECK(run.of({1})[0].end == exactly(10.05e-3));
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
  // the host, which has 400 us of launches and 0.5 us of record behind it, hears of it 1 us later
  CHECK(run.notes[0] == exactly(402e-6));
}

TEST_CASE(
    "simulated machine: the host hears of an event its notice later, also of one that was reached long ago") {
  Platform platform = test_platform();
  set_host_calls(platform, {{}, {}, {}, {}, {3e-6}});
  const Recording run = run_simulated(platform, [](Machine& machine, auto& notes) {
    const Stream stream = machine.open_stream(kGpu, "compute");
    machine.launch(stream, kernel(10'000));
    const Event event = machine.record(stream);
    for (int i = 0; i < 2; ++i) {
      machine.synchronize(event);
      notes.push_back(machine.now().value);
      notes.push_back(machine.time_of(event).value);
    }
  });
  // 10 us + 3 us; + 3 us once more
  CHECK(run.notes[0] == exactly(13e-6));
  CHECK(run.notes[1] == exactly(10e-6));
  CHECK(run.notes[2] == exactly(16e-6));
  CHECK(run.notes[3] == exactly(10e-6));
}

TEST_CASE(
    "simulated machine: the engine works before each call but synchronize, and a launch has its dispatch") {
  Platform platform = test_platform();
  set_host_calls(platform, {{4e-6}, {2e-6}, {0.5e-6}, {0.25e-6}, {1e-6}, {10e-6}});
  platform.devices[1].saturation[3].dispatch = {100e-6};  // elementwise
  const Recording run = run_simulated(platform, [](Machine& machine, auto& notes) {
    const Stream stream = machine.open_stream(kGpu, "stream");
    const auto note = [&] { notes.push_back(machine.now().value); };
    machine.launch(stream, {TopK{1, 1, 1}}), note();
    machine.launch(stream, kernel(1)), note();
    load(machine, stream, {0}), note();
    const Event event = machine.record(stream);
    note();
    machine.wait(stream, event), note();
    machine.synchronize(event), note();
  });
  const double expected[] = {14e-6, 128e-6, 140e-6, 150.5e-6, 160.75e-6, 161.75e-6};
  for (std::size_t i = 0; i < std::size(expected); ++i) CHECK(run.notes[i] == exactly(expected[i]));
}

TEST_CASE(
    "simulated machine: what waits for another stream's event starts its latency later, in order of "
    "waiting") {
  Platform platform = free_calls();
  platform.devices[1].event_latency = {4e-6};
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    const Stream a = machine.open_stream(kGpu, "a"), b = machine.open_stream(kGpu, "b"),
                 c = machine.open_stream(kGpu, "c");
    machine.launch(a, kernel(10'000));
    const Event event = machine.record(a);
    machine.wait(c, event);
    machine.wait(b, event);
    machine.wait(a, event);  // its own: no latency
    machine.launch(a, kernel(1'000));
    load(machine, b, 25_MB);
    load(machine, c, 25_MB);
    machine.synchronize(machine.record(c));
    machine.wait(b, event);  // reached long ago
    load(machine, b, 25_MB);
  });
  CHECK(run.of({0})[1].start == exactly(10e-6));
  // 10 us + 4 us; c began to wait before b: its copy of 10 us + 1 ms is the first
  CHECK(run.of({2})[0].start == exactly(14e-6));
  CHECK(run.of({2})[0].end == exactly(1.024e-3));
  CHECK(run.of({1})[0].end == exactly(2.024e-3));
  CHECK(run.of({1})[1].end == exactly(3.024e-3));
}

TEST_CASE(
    "simulated machine: those that wait for an event go on in the order of the dates on which they began "
    "to") {
  Platform platform = free_calls();
  set_host_calls(platform, {{}, {}, {}, {100e-6}, {}});
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    const Stream a = machine.open_stream(kGpu, "a"), b = machine.open_stream(kGpu, "b"),
                 c = machine.open_stream(kCpu, "c");
    machine.launch(a, kernel(1'000'000));
    const Event event = machine.record(a);
    machine.launch(c, kernel(75'000'000));  // 150 MB / 1 TB/s = 150 us
    machine.wait(c, event);                 // called at 100 us, begins at 150 us
    machine.wait(b, event);                 // called at 200 us by a host that is ahead of its idle stream
    load(machine, b, 25_MB);
    load(machine, c, 25_MB);
  });
  CHECK(run.of({2})[1].start == exactly(1e-3));
  CHECK(run.of({1})[0].start == exactly(2.01e-3));
}

TEST_CASE("simulated machine: a wait that begins within the latency of an event waits for the rest of it") {
  Platform platform = free_calls();
  platform.devices[1].event_latency = {4e-6};
  set_host_calls(platform, {{}, {}, {}, {}, {1e-6}});
  for (const std::int64_t microseconds : {0, 12, 16}) {
    const Recording run = run_simulated(platform, [=](Machine& machine, auto&) {
      const Stream gpu = machine.open_stream(kGpu, "gpu"), cpu = machine.open_stream(kCpu, "cpu");
      machine.launch(gpu, kernel(10'000));
      const Event event = machine.record(gpu);
      // 2 B / 1 TB/s = 2 ps each. Without: the host waits for the event itself, and calls at 11 us.
      if (microseconds > 0)
        machine.launch(cpu, kernel(500'000 * microseconds));
      else
        machine.synchronize(event);
      machine.wait(cpu, event);
      machine.launch(cpu, kernel(500'000));
    });
    CHECK(run.of({1}).back().start == exactly(microseconds == 16 ? 16e-6 : 14e-6));
  }
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
  CHECK(run.notes[1] == exactly(1005e-6));
  CHECK(run.notes[2] == exactly(1004e-6));
  // the next launch begins when the host has come back
  CHECK(run.spans[100].start == exactly(1009e-6));
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
  // the two that follow take no latency
  CHECK(a[1].start == exactly(1.01e-3));
  CHECK(a[1].end == exactly(2.01e-3));
  CHECK(b[1].start == exactly(2.01e-3));
  // the other direction has its own engine, which was idle: 10 us, in which b's copy has 0.25 MB. Then both have
  // 20 GB/s: 20 MB out by 3.02 ms; in are 20 MB too, and the 4.75 MB left take 0.19 ms
  CHECK(a[2].start == exactly(2.01e-3));
  CHECK(a[2].end == exactly(3.02e-3));
  CHECK(b[1].end == exactly(3.21e-3));
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
  // 10 us, as its engine has stood still, + 1 TB / 5 GB/s = 200.00001 s
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
  for (Direction* pcie : directions(platform.links[0])) pcie->latency = {0};
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

// Host memory of 40 GB/s, of which the CPU's kernels reach 30 GB/s: kernel(n) moves 2 n bytes.
Platform narrow_memory() {
  Platform platform = free_calls();
  platform.memories[0].read = {40e9};
  platform.devices[0].saturation[3].memory_efficiency = 0.75;
  return platform;
}

TEST_CASE("simulated machine: CPU kernels and copies share the bandwidth of the host's memory") {
  const Recording run = run_simulated(narrow_memory(), [](Machine& machine, auto&) {
    const Stream cpu = machine.open_stream(kCpu, "experts"), copies = machine.open_stream(kGpu, "copies");
    machine.launch(cpu, kernel(30'000'000));  // 60 MB
    machine.launch(cpu, kernel(15'000'000));  // 30 MB, alone by then
    load(machine, copies, 50_MB);
  });
  // From 10 us on both want 30 + 25 GB/s of 40: 20 each. By then the kernel has moved 10 us x 30 GB/s = 0.3 MB.
  // The copy's 50 MB take 2.5 ms and end at 2.51 ms. The kernel has moved 50.3 MB; 9.7 MB / 30 GB/s = 323.33 us more.
  // The second kernel: 30 MB / 30 GB/s = 1 ms.
  CHECK(run.of({1})[0].end == exactly(2.51e-3));
  CHECK(run.of({0})[0].end == exactly(2.51e-3 + 9.7e6 / 30e9));
  CHECK(run.of({0})[1].end == exactly(3.51e-3 + 9.7e6 / 30e9));
}

TEST_CASE(
    "simulated machine: a CPU kernel that is bound by arithmetic leaves copies the rest of the memory") {
  Platform platform = narrow_memory();
  platform.devices[0].peak[WeightFormat::bf16] = {1e10};
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    machine.launch(machine.open_stream(kCpu, "experts"), kernel(30'000'000));  // 3 ms, 60 MB: 20 GB/s
    load(machine, machine.open_stream(kGpu, "copies"), 50_MB);
    store(machine, machine.open_stream(kGpu, "results"), 10_MB);
  });
  // From 10 us: 20 GB/s for the kernel would leave 20 GB/s to two copies; three shares are 13.33 GB/s each.
  // The store ends after 10 MB / 13.33 GB/s = 750 us; then the load has 20 GB/s for its other 40 MB: 2 ms.
  CHECK(run.of({2})[0].end == exactly(760e-6));
  CHECK(run.of({1})[0].end == exactly(2.76e-3));
  // The kernel: 10 us and, by 760 us, 10 MB more; 49.8 MB - ... at 20 GB/s: (60 - 0.2 - 10) MB / 20 GB/s = 2.49 ms.
  CHECK(run.of({0})[0].end == exactly(760e-6 + 2.49e-3));
}

TEST_CASE("simulated machine: without a stream of the CPU its memory limits no copy") {
  Platform platform = narrow_memory();
  platform.memories[0].read = {1e9};
  const Recording run = run_simulated(
      platform, [](Machine& machine, auto&) { load(machine, machine.open_stream(kGpu, "copies"), 25_MB); });
  CHECK(run.end == exactly(1.01e-3));
}

TEST_CASE("simulated machine: streams of a CPU share its cores, and there are at most four") {
  const Recording run = run_simulated(free_calls(), [](Machine& machine, auto&) {
    for (int i = 0; i < 2; ++i) machine.launch(machine.open_stream(kCpu, "cpu"), kernel(500'000'000));
  });
  // each alone 1 GB / 1 TB/s = 1 ms
  CHECK(run.end == exactly(2e-3));
  CHECK_THROWS_WITH(run_simulated(free_calls(),
                                  [](Machine& machine, auto&) {
                                    for (int i = 0; i < 5; ++i) machine.open_stream(kCpu, "cpu");
                                  }),
                    doctest::Contains("more than four streams of a CPU"));
}

}  // namespace
}  // namespace specmoe::testing
