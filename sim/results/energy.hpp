// What a run draws: its devices, by the machine's meters, and what moving bytes adds to that in links and memories.
#pragma once
#include <vector>

#include "models/hardware/platform.hpp"
#include "sim/base/h5.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

/// Hears of what a run moves. Fans, power supplies, boards and the refresh of host memory are in none of its numbers.
class EnergyUse {
 public:
  explicit EnergyUse(const Platform& platform);

  void copied(const Route& route, Bytes bytes);
  void computed(DeviceId device, const Kernel& kernel);

  /// All that was drawn so far. @param devices as Machine::device_energy
  /// @return NaN if the devices' is not known
  double total(const std::vector<Joules>& devices) const;
  /// /energy, /links/energy and /memories; see recorder.hpp.
  void write(H5File& file, const SimulationEnd& end) const;

 private:
  struct Use {
    std::int64_t bytes = 0;
    std::optional<JoulesPerByte> each;
    /// NaN where the platform does not say what a byte takes.
    double energy() const;
  };

  const Platform& platform_;
  std::vector<Use> links_;     // [2 * link + (forward ? 0 : 1)]
  std::vector<Use> memories_;  // [memory]
};

}  // namespace specmoe
