// simulate() on the hand-written event queue of the tests: what reads files needs no SimGrid, whose libraries are many.
#include "sim/machine/machine.hpp"
#include "tests/machine/queue_machine.hpp"

namespace specmoe {

SimulationEnd simulate(const Platform& platform, const std::function<void(Machine&)>& program,
                       MachineObserver* observer) {
  testing::QueueMachine machine(platform, observer);
  program(machine);
  return {machine.drain(), {}};
}

std::string simgrid_version() { return "none"; }

}  // namespace specmoe
