#include <doctest/doctest.h>

#include "tests/machine/recording.hpp"
#include "tests/machine/test_platform.hpp"

namespace specmoe::testing {
namespace {

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
