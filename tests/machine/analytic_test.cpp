// Times of kernels, events and the host against pencil and paper; of copies see copies_test.cpp.
#include "tests/machine/pencil.hpp"

#include <cmath>
#include <iterator>

#include "sim/base/input_error.hpp"

namespace specmoe::testing {
namespace {

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
