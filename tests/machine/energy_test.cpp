// What devices draw, by pencil and paper: GPUs 50 W idle, 300 W bound by memory, 400 W bound by arithmetic; the CPU 10, 20
// and 30 W.
#include <cmath>

#include "tests/machine/pencil.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

Platform metered(int gpus = 1) {
  Platform platform = free_calls(gpus);
  for (Device& device : platform.devices)
    device.power =
        device.kind == Device::Kind::gpu ? PowerDraw{{50}, {300}, {400}} : PowerDraw{{10}, {20}, {30}};
  for (Link& link : platform.links)
    for (Direction* direction : directions(link)) direction->latency = {};
  return platform;
}

constexpr std::int64_t kTenMs = 10'000'000;

// 2 x 100 x 1000 x 1000 operations at 20 GFLOP/s: 10 ms; its 2.4 MB at 2 GB/s would take 1.2 ms.
Kernel product() { return {Gemm{100, 1000, 1000}, "", -1, -1}; }

Platform slow_at_arithmetic() {
  Platform platform = metered();
  platform.devices[1].peak[WeightFormat::bf16] = {20e9};
  return platform;
}

}  // namespace

TEST_CASE("energy: a device draws busy power while a kernel runs and idle power while bytes move") {
  const Recording ran = run_simulated(metered(), [](Machine& machine, std::vector<double>& notes) {
    const Stream stream = machine.open_stream(kGpu, "compute");
    machine.launch(stream, kernel(kTenMs));
    machine.synchronize(machine.record(stream));
    for (const Joules each : machine.device_energy()) notes.push_back(each.value);
    load(machine, stream, 250_MB);  // 10 ms
  });
  REQUIRE(ran.energy.size() == 2);
  CHECK(ran.notes[1] == exactly(3));     // 10 ms x 300 W
  CHECK(ran.energy[1] == exactly(3.5));  // + 10 ms x 50 W
  CHECK(ran.energy[0] == exactly(0.2));  // 20 ms x 10 W
}

TEST_CASE("energy: two kernels at once draw no more than one") {
  const Recording ran = run_simulated(metered(), [](Machine& machine, std::vector<double>&) {
    for (const char* name : {"one", "two"}) machine.launch(machine.open_stream(kGpu, name), kernel(kTenMs));
  });
  CHECK(ran.end == exactly(20e-3));    // they share the device
  CHECK(ran.energy[1] == exactly(6));  // 20 ms x 300 W
}

TEST_CASE("energy: kernels that arithmetic bounds draw another power than those that memory bounds") {
  const Recording ran = run_simulated(slow_at_arithmetic(), [](Machine& machine, std::vector<double>&) {
    const Stream stream = machine.open_stream(kGpu, "compute");
    machine.launch(stream, product());
    machine.launch(stream, kernel(kTenMs));
    machine.launch(stream, product());
    load(machine, stream, 250_MB);
  });
  // 10 ms x (400 + 300 + 400 + 50) W
  CHECK(ran.energy[1] == exactly(11.5));
}

TEST_CASE("energy: of kernels at once, the one that began last says what the device draws") {
  const Recording ran = run_simulated(slow_at_arithmetic(), [](Machine& machine, std::vector<double>&) {
    machine.launch(machine.open_stream(kGpu, "one"), kernel(kTenMs));
    machine.launch(machine.open_stream(kGpu, "two"), product());
  });
  CHECK(ran.energy[1] == exactly(8));  // 20 ms x 400 W
}

TEST_CASE("energy: each GPU and the CPU have their own") {
  const Recording ran = run_simulated(metered(2), [](Machine& machine, std::vector<double>&) {
    machine.launch(machine.open_stream(kGpu1, "compute"), kernel(kTenMs));
    // 20 GB through the memory's 1 TB/s: 20 ms
    machine.launch(machine.open_stream(kCpu, "experts"), kernel(10'000'000'000));
  });
  CHECK(ran.energy[0] == exactly(0.4));  // 20 ms x 20 W
  CHECK(ran.energy[1] == exactly(1));    // 20 ms x 50 W
  CHECK(ran.energy[2] == exactly(3.5));  // 10 ms x 300 W + 10 ms x 50 W
}

TEST_CASE("energy: what is drawn is the integral over the recorded kernels") {
  const Recording ran = run_simulated(metered(), [](Machine& machine, std::vector<double>&) {
    const Stream compute = machine.open_stream(kGpu, "compute"), copies = machine.open_stream(kGpu, "copies");
    for (std::int64_t i = 1; i <= 200; ++i) {
      load(machine, copies, Bytes{i * 7'919 % 500'000});
      const Event landed = machine.record(copies);
      if (i % 3 == 0) machine.wait(compute, landed);
      machine.launch(compute, kernel(i * 104'729 % 10'000));
      if (i % 16 == 0) machine.synchronize(machine.record(compute));
    }
  });
  double busy = 0;
  for (const Span& span : ran.of({0})) busy += span.end - span.start;
  CHECK(busy > 0.1 * ran.end);
  CHECK(busy < 0.9 * ran.end);
  CHECK(ran.energy[1] == exactly(300 * busy + 50 * (ran.end - busy)));
}

TEST_CASE("energy: a host whose calls outlast all kernels keeps its devices idling") {
  Platform platform = metered();
  platform.devices[1].host_calls.record = {1e-3};
  const Recording ran = run_simulated(platform, [](Machine& machine, std::vector<double>&) {
    const Stream stream = machine.open_stream(kGpu, "compute");
    for (int i = 0; i < 20; ++i) machine.record(stream);
  });
  CHECK(ran.end == exactly(20e-3));
  CHECK(ran.energy[1] == exactly(1));  // 20 ms x 50 W
}

TEST_CASE("energy: meters change no date, and a platform without power has none") {
  const auto program = [](Machine& machine, std::vector<double>& notes) {
    const Stream one = machine.open_stream(kGpu, "one"), two = machine.open_stream(kGpu, "two");
    for (std::int64_t i = 0; i < 50; ++i) {
      machine.launch(i % 2 ? one : two, i % 5 ? kernel(1000 * i) : product());
      load(machine, two, 1_MB);
    }
    notes.push_back(static_cast<double>(machine.device_energy().size()));
  };
  Platform without = slow_at_arithmetic();
  for (Device& device : without.devices) device.power.reset();
  const Recording metered_run = run_simulated(slow_at_arithmetic(), program);
  const Recording bare = run_simulated(without, program);
  CHECK(metered_run.notes == std::vector<double>{2});
  CHECK(bare.notes == std::vector<double>{0});
  CHECK(bare.energy.empty());
  CHECK(bare.end == metered_run.end);
}
