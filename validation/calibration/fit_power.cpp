#include "validation/calibration/fit_power.hpp"

#include <algorithm>

#include "validation/calibration/fit_machine.hpp"

namespace specmoe {

std::optional<FittedPower> fit_power(const Measurement& m) {
  const std::string experiment = m.has("power/counter") ? "power/counter" : "power/usage";
  if (!m.has(experiment)) return std::nullopt;
  const auto watts = medians(m, experiment, {}), rates = medians(m, "power/rate", {});
  const auto power = [&](PowerOf what) { return watts.at(static_cast<std::int64_t>(what)); };
  const auto a_byte = [&](PowerOf what) -> JoulesPerByte {
    return {std::max(0.0, power(what) - power(PowerOf::idle)) / rates.at(static_cast<std::int64_t>(what))};
  };
  return FittedPower{
      {{power(PowerOf::idle)}, {power(PowerOf::memory_bound)}, {power(PowerOf::compute_bound)}},
      a_byte(PowerOf::copies_in),
      a_byte(PowerOf::copies_out),
      experiment};
}

}  // namespace specmoe
