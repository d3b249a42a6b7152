#include <doctest/doctest.h>

#include <cmath>

#include "sim/base/random.hpp"
#include "tests/machine/recording.hpp"
#include "tests/machine/test_platform.hpp"

namespace specmoe::testing {
namespace {

double between(Random& random, double least, double most) {
  return least + (most - least) * random.uniform();
}

// One GPU and no loss, so that nothing shares bandwidth; irregular costs, so that nothing coincides.
Platform exclusive_platform(Random& random) {
  Platform platform = test_platform();
  Link& pcie = platform.links[0];
  pcie.duplex = {50e9};
  const bool prompt = random.chance(0.2);
  for (Direction* way : directions(pcie)) {
    way->latency = {prompt ? 0 : between(random, 1e-6, 20e-6)};
    way->half_size = {static_cast<std::int64_t>(random.below(100'000))};
    if (random.chance(0.3)) way->inline_size = {static_cast<std::int64_t>(random.below(1'000'000))};
  }
  for (Memory& memory : platform.memories)
    if (memory.kind != Memory::Kind::disk && random.chance(0.5))
      memory.copies = Direction{{between(random, 1e9, 1e12)},
                                {between(random, 0, 5e-6)},
                                {static_cast<std::int64_t>(random.below(100'000))}};
  const double pace = random.chance(0.5) ? 1 : 20;  // the device or the host is the slower
  set_host_calls(platform, {{between(random, 1e-6, 6e-6) * pace},
                            {between(random, 1e-6, 4e-6) * pace},
                            {between(random, 0.1e-6, 1e-6) * pace},
                            {between(random, 0.1e-6, 1e-6) * pace},
                            {between(random, 0.5e-6, 5e-6) * pace},
                            {random.chance(0.3) ? 0 : between(random, 0.1e-6, 2e-6) * pace}});
  for (Device& device : platform.devices) {
    if (random.chance(0.7)) device.event_time = {between(random, 0.5e-6, 10e-6)};
    if (random.chance(0.7)) device.event_latency = {between(random, 0.5e-6, 10e-6)};
    if (random.chance(0.5)) device.kernel_change = {between(random, 0, 3e-6)};
    if (random.chance(0.7)) device.copy_slowdown_memory = between(random, 0, 2);
    if (random.chance(0.3)) device.saturation[3].dispatch = {between(random, 0, 4e-6)};
    if (random.chance(0.3))
      device.curves[3] = {{{1, 1, 0}, WeightFormat::bf16, {1e3, 1e4}, {0.5 + random.uniform(), 0.9}}};
  }
  // The CPU's kernels leave the copies enough of the memory's bandwidth.
  for (Saturation& saturation : platform.devices[0].saturation) saturation.memory_efficiency = 0.4;
  return platform;
}

// Kernels of the GPU on one stream and of the CPU on another; copies anywhere; disks are only read, and only
// by way of the GPU's copy engine.
void random_program(Machine& machine, std::vector<double>& notes, std::uint64_t seed) {
  Random random = Random::stream(seed, "program");
  const Stream gpu = machine.open_stream(kGpu, "gpu"), cpu = machine.open_stream(kCpu, "cpu");
  std::vector<Stream> streams{gpu, cpu};
  for (std::uint64_t i = random.below(4); i > 0; --i) streams.push_back(machine.open_stream(kGpu, "copies"));
  const auto any_stream = [&] { return streams[random.below(streams.size())]; };
  std::vector<Event> events;
  for (int i = 0; i < 400; ++i) {
    const auto dice = random.below(100);
    if (dice < 40) {
      machine.launch(random.chance(0.8) ? gpu : cpu, kernel(static_cast<std::int64_t>(random.below(50'000))));
    } else if (dice < 65) {
      const Bytes bytes{random.chance(0.05) ? 0 : static_cast<std::int64_t>(random.below(3'000'000))};
      const HostMemory host = random.chance(0.1) ? HostMemory::pageable : HostMemory::pinned;
      if (random.chance(0.1))
        machine.copy(any_stream(), kNvme, kVram, bytes, HostMemory::pinned);
      else if (machine.platform()[kVram].copies && random.chance(0.2))
        machine.copy(any_stream(), kVram, kVram, bytes, HostMemory::pinned);
      else if (random.chance(0.6))
        machine.copy(any_stream(), kRam, kVram, bytes, host);
      else
        machine.copy(any_stream(), kVram, kRam, bytes, host);
    } else if (dice < 80 || events.empty()) {
      events.push_back(machine.record(any_stream()));
    } else if (dice < 95) {
      // mostly of late ones, which are still to be reached
      const std::size_t back = std::min(events.size(), 1 + random.below(random.chance(0.7) ? 5 : 50));
      machine.wait(any_stream(), events[events.size() - back]);
    } else {
      const Event& event = events[events.size() - 1 - random.below(std::min<std::size_t>(events.size(), 10))];
      machine.synchronize(event);
      notes.push_back(machine.now().value);
      notes.push_back(machine.time_of(event).value);
    }
  }
}

bool same_date(double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b)); }

void check_same(const Recording& simulated, const Recording& oracle) {
  REQUIRE(simulated.spans.size() == oracle.spans.size());
  REQUIRE(simulated.notes.size() == oracle.notes.size());
  CHECK(same_date(simulated.end, oracle.end));
  for (std::size_t i = 0; i < oracle.notes.size(); ++i) CHECK(same_date(simulated.notes[i], oracle.notes[i]));
  for (int stream = 0; stream < 6; ++stream) {
    const auto got = simulated.of({stream}), expected = oracle.of({stream});
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(stream);
      CAPTURE(i);
      REQUIRE(got[i].copy == expected[i].copy);
      REQUIRE(same_date(got[i].start, expected[i].start));
      REQUIRE(same_date(got[i].end, expected[i].end));
    }
  }
}

TEST_CASE("simulated machine: random programs on exclusive resources have the event queue's dates") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Random random = Random::stream(seed, "platform");
    const Platform platform = exclusive_platform(random);
    const Program program = [seed](Machine& machine, auto& notes) { random_program(machine, notes, seed); };
    check_same(run_simulated(platform, program), run_queue(platform, program));
  }
}

TEST_CASE("simulated machine: the event queue's dates also after 100 simulated seconds") {
  Random random(1);
  const Platform platform = exclusive_platform(random);
  const Program program = [](Machine& machine, auto& notes) {
    const Stream stream = machine.open_stream(kGpu, "long");
    machine.launch(stream, kernel(100'000'000'000));
    machine.synchronize(machine.record(stream));
    random_program(machine, notes, 1);
  };
  const Recording simulated = run_simulated(platform, program), oracle = run_queue(platform, program);
  check_same(simulated, oracle);
  for (std::size_t i = 0; i < oracle.notes.size(); ++i)
    CHECK(std::abs(simulated.notes[i] - oracle.notes[i]) < 1e-11);  // 1e-5 of a microsecond's kernel
}

TEST_CASE("simulated machine: a run repeated has the same dates to the last bit") {
  Random random(2);
  const Platform platform = exclusive_platform(random);
  const Program program = [](Machine& machine, auto& notes) { random_program(machine, notes, 2); };
  const Recording once = run_simulated(platform, program), again = run_simulated(platform, program);
  REQUIRE(once.spans.size() == again.spans.size());
  for (std::size_t i = 0; i < once.spans.size(); ++i) CHECK(once.spans[i].end == again.spans[i].end);
  CHECK(once.notes == again.notes);
}

}  // namespace
}  // namespace specmoe::testing
