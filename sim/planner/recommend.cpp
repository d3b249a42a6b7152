#include <fmt/format.h>

#include "sim/planner/advice.hpp"

namespace specmoe {

namespace {
constexpr double kNativeWithin = 1.15;
bool four_bits(const Offer& offer) { return bits_per_weight(offer.precision.experts) >= 4; }
}  // namespace

std::pair<std::size_t, std::string> recommend(const std::vector<Offer>& offers, Formats native,
                                              std::optional<double> target) {
  if (target)
    for (std::size_t i = 0; i < offers.size(); ++i)
      if (offers[i].tokens_per_second >= *target)
        return {i, fmt::format("the highest precision that reaches {:g} tok/s", *target)};
  std::optional<std::size_t> fastest;
  for (std::size_t i = 0; i < offers.size(); ++i)
    if (four_bits(offers[i]) &&
        (!fastest || offers[i].tokens_per_second > offers[*fastest].tokens_per_second))
      fastest = i;
  std::string why = "the fastest of 4 bits or more";
  if (!fastest) {
    // The highest of them, since each bit counts there.
    fastest = 0;
    why = "nothing of 4 bits or more has room; expect a loss of quality";
  } else if (offers.front().precision == native && *fastest != 0 && !target &&
             offers[*fastest].tokens_per_second <= offers.front().tokens_per_second * kNativeWithin) {
    fastest = 0;
    why = "native, and within 15 % of the fastest";
  } else if (offers[*fastest].precision == native) {
    why = "native, and the fastest of 4 bits or more";
  }
  if (target) why = fmt::format("none reaches {:g} tok/s; {}", *target, why);
  return {*fastest, why};
}

std::string error_class(const Row& row) {
  switch (row.candidate.way) {
    case Way::resident:
      return "gpu";
    case Way::fetched:
      return "link";
    case Way::shared:
      return "hybrid";
    case Way::on_cpu:
      return row.trial.cpu_rate >= 0.75 ? "cpu" : "hybrid";
    case Way::from_disk:
      return "disk";
  }
  return "";
}

}  // namespace specmoe
