#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>
#include <string>

#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "sim/machine/bench.hpp"
#include "tests/machine/recording.hpp"
#include "tests/machine/test_platform.hpp"

namespace specmoe::testing {
namespace {

struct ForeignEvent final : EventState {};

/// What simulate() throws, as "logic_error: text"; empty if nothing.
std::string error_of(const Platform& platform, const std::function<void(Machine&)>& program,
                     MachineObserver* observer = nullptr) {
  return run_isolated([&]() -> std::string {
    try {
      simulate(platform, program, observer);
    } catch (const std::logic_error& error) {
      return std::string("logic_error: ") + error.what();
    } catch (const InputError& error) {
      return std::string("InputError: ") + error.what();
    } catch (const std::exception& error) {
      return std::string("exception: ") + error.what();
    } catch (int value) {
      return "int: " + std::to_string(value);
    }
    return "";
  });
}

std::string error_of(const std::function<void(Machine&, Stream)>& program) {
  return error_of(test_platform(),
                  [&](Machine& machine) { program(machine, machine.open_stream(kGpu, "stream")); });
}

bool starts_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

TEST_CASE("simulated machine: what the program throws is thrown again") {
  CHECK(error_of([](Machine&, Stream) { throw std::runtime_error("disk full"); }) == "exception: disk full");
  CHECK(error_of([](Machine&, Stream) { throw InputError("a.yaml", 3, "bad"); }) ==
        "InputError: a.yaml:3: bad");
  CHECK(error_of([](Machine&, Stream) { throw 7; }) == "int: 7");
  // also in the middle of a run, with work under way
  CHECK(error_of([](Machine& machine, Stream stream) {
          machine.launch(stream, kernel(1000));
          machine.synchronize(machine.record(stream));
          machine.launch(stream, kernel(1000));
          throw std::runtime_error("late");
        }) == "exception: late");
}

TEST_CASE("simulated machine: what the observer throws is thrown again") {
  struct Refusing final : MachineObserver {
    void kernel_ended(Stream, const Kernel&, Seconds, Seconds) override {
      throw std::runtime_error("no room");
    }
  } observer;
  CHECK(error_of(
            test_platform(),
            [](Machine& machine) {
              const Stream stream = machine.open_stream(kGpu, "stream");
              machine.launch(stream, kernel(1000));
              machine.synchronize(machine.record(stream));
            },
            &observer) == "exception: no room");
}

TEST_CASE("simulated machine: waiting for an event that never comes is an error") {
  const std::string deadlock = "logic_error: deadlock";
  CHECK(starts_with(error_of([](Machine& machine, Stream) { machine.synchronize(nullptr); }), deadlock));
  CHECK(starts_with(
      error_of([](Machine& machine, Stream) { machine.synchronize(std::make_shared<ForeignEvent>()); }),
      deadlock));
  CHECK(starts_with(error_of([](Machine& machine, Stream stream) {
                      machine.wait(stream, std::make_shared<ForeignEvent>());
                    }),
                    deadlock));
}

TEST_CASE("simulated machine: a date is known only once the event was reached") {
  CHECK(starts_with(error_of([](Machine& machine, Stream stream) {
                      machine.launch(stream, kernel(1000));
                      machine.time_of(machine.record(stream));
                    }),
                    "logic_error: time_of"));
}

TEST_CASE("simulated machine: wrong arguments are errors") {
  using Call = void (*)(Machine&, Stream);
  const Call calls[] = {
      [](Machine& machine, Stream) { machine.open_stream({3}, "no such device"); },
      [](Machine& machine, Stream) { machine.open_stream({-1}, "no such device"); },
      [](Machine& machine, Stream) { machine.launch({}, kernel(1)); },
      [](Machine& machine, Stream) { machine.record({1}); },
      [](Machine& machine, Stream stream) {
        machine.copy(stream, kRam, kVram, {-1}, HostMemory::pinned, {});
      },
      [](Machine& machine, Stream stream) { machine.copy(stream, kRam, {9}, {1}, HostMemory::pinned, {}); },
      [](Machine& machine, Stream stream) { machine.copy(stream, {-1}, kRam, {1}, HostMemory::pinned, {}); },
      [](Machine& machine, Stream stream) { machine.copy(stream, kRam, kRam, {1}, HostMemory::pinned, {}); },
  };
  for (const Call call : calls) CHECK(starts_with(error_of(call), "logic_error: "));
}

TEST_CASE("simulated machine: a copy without a route is an error that names what is missing") {
  Platform platform = test_platform();
  platform.memories.push_back({"island", Memory::Kind::host, {1}, {0}, {1e9}, {1e9}});
  const std::string error = error_of(platform, [](Machine& machine) {
    machine.copy(machine.open_stream(kGpu, "stream"), kRam, {3}, {1}, HostMemory::pinned);
  });
  CHECK(starts_with(error, "InputError: "));
  CHECK(error.find("island") != std::string::npos);
}

TEST_CASE("simulated machine: a platform without bandwidth is an error, not an endless copy") {
  for (const double bandwidth : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    Platform platform = test_platform();
    platform.links[0].forward.bandwidth = {bandwidth};
    CHECK(starts_with(error_of(platform, [](Machine&) {}), "logic_error: "));
  }
}

TEST_CASE("simulated machine: a second simulation in one process is an error") {
  const std::string error = run_isolated([]() -> std::string {
    simulate(test_platform(), [](Machine&) {});
    try {
      simulate(test_platform(), [](Machine&) {});
    } catch (const std::logic_error& again) {
      return again.what();
    }
    return "";
  });
  CHECK(error.find("one simulation") != std::string::npos);
}

TEST_CASE("bare SimGrid: chains of Execs and Comms take the sum of their times") {
  const std::string ended = run_isolated([] {
    // 3 x 1 ms of kernels beside 2 x 50 MB / 25 GB/s = 4 ms of copies
    const BareCost cost = run_bare({{{1e-3}, {1e-3}, {1e-3}}, {{50'000'000}, {50'000'000}}, {25e9}, {40e9}});
    return std::to_string(cost.simulated.value * 1e3) +
           (cost.cpu_seconds >= 0 ? "" : " and CPU time below zero");
  });
  CHECK(ended == "4.000000");
}

}  // namespace
}  // namespace specmoe::testing
