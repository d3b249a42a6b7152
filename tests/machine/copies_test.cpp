// Times of copies against pencil and paper.
#include "tests/machine/pencil.hpp"

#include <cmath>
#include <iterator>

#include "sim/base/input_error.hpp"

namespace specmoe::testing {
namespace {

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

// SimGrid's clock stands at 10 us, where it last heard of the machine, when the copy out begins: it must not begin there.
TEST_CASE("simulated machine: a copy that joins one long alone has its share from then on") {
  Platform platform = free_calls();
  for (Direction* way : directions(platform.links[0])) way->latency = {0};
  const Recording run = run_simulated(platform, [](Machine& machine, auto&) {
    const Stream in = machine.open_stream(kGpu, "in"), compute = machine.open_stream(kGpu, "compute"),
                 out = machine.open_stream(kGpu, "out");
    load(machine, in, 25_MB);
    load(machine, in, 25_MB);
    machine.launch(compute, kernel(10'000));
    machine.synchronize(machine.record(compute));
    machine.launch(compute, kernel(1'490'000));
    machine.wait(out, machine.record(compute));
    store(machine, out, 10_MB);
  });
  const std::vector<Span> in = run.of({0}), out = run.of({2});
  // 25 MB / 25 GB/s = 1 ms
  CHECK(in[0].end == exactly(1e-3));
  // at 1.5 ms half of the second is left, 12.5 MB; 20 GB/s each: 10 MB take 0.5 ms, the last 2.5 MB 0.1 ms alone
  CHECK(out[0].start == exactly(1.5e-3));
  CHECK(out[0].end == exactly(2e-3));
  CHECK(in[1].end == exactly(2.1e-3));
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

}  // namespace
}  // namespace specmoe::testing
