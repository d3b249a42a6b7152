#include "sim/results/fingerprint.hpp"

#include <fmt/format.h>

#include "sim/base/build_info.hpp"
#include "sim/base/fnv.hpp"

namespace specmoe {

std::string fingerprint(const Scenario& scenario) {
  namespace fs = std::filesystem;
  std::string all = version() + scenario.text;
  const auto stamp = [&](const fs::path& file) {
    std::error_code ignored;
    all +=
        fmt::format("{} {} {};", file.string(), fs::last_write_time(file, ignored).time_since_epoch().count(),
                    fs::file_size(file, ignored));
  };
  stamp(program());
  for (const fs::path& input : scenario.inputs) stamp(input);
  return fmt::format("{:016x}", fnv1a(std::as_bytes(std::span(all))));
}

}  // namespace specmoe
