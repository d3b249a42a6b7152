#include "sim/planner/question.hpp"

#include <fmt/format.h>

namespace specmoe {

std::string name_of(Formats precision) {
  if (precision.experts == precision.rest) return std::string(name_of(precision.experts));
  return fmt::format("{}, rest {}", name_of(precision.experts), name_of(precision.rest));
}

std::vector<Formats> precisions_below(Formats native, bool multiplies_fp8) {
  const auto bits = [](WeightFormat format) { return bits_per_weight(format); };
  const WeightFormat eight = multiplies_fp8 ? WeightFormat::fp8 : WeightFormat::int8;
  const WeightFormat rest = bits(native.rest) > 9 ? eight : native.rest;
  std::vector<Formats> all{native};
  if (bits(native.experts) > 9)
    all.push_back({eight, rest});
  else if (rest != native.rest)
    all.push_back({native.experts, rest});
  for (const WeightFormat format : {WeightFormat::int4, WeightFormat::int3, WeightFormat::int2})
    if (bits(format) < bits(native.experts)) all.push_back({format, rest});
  return all;
}

}  // namespace specmoe
