// What is shipped: platform files that are what their measurements say, and a simulator within its bounds.
#include <doctest/doctest.h>

#include "models/hardware/kernel_price.hpp"
#include "sim/base/build_info.hpp"
#include "tests/approx.hpp"
#include "tests/cli/command.hpp"
#include "validation/calibration/fit.hpp"
#include "validation/calibration/shapes.hpp"

using namespace specmoe;

TEST_CASE("platforms: those of measured machines are what fit makes of their measurements") {
  for (const auto& [machine, name] : {std::pair{"h100", "h100_sxm_80gb"}, {"h200", "h200_sxm"}}) {
    CAPTURE(name);
    const std::string file = std::string(machine) + ".h5";
    const Measurement measurement = Measurement::read(home() / "validation/measurements" / file);
    CHECK(measurement.about.at("platform") == name);
    const Platform fitted = fit_platform(measurement, {name, "a test", file, {}}).platform;
    const Platform shipped = Platform::load(name);
    const DeviceId gpu = shipped.first(Device::Kind::gpu);
    // Within what another compiler's rounding does to a search.
    for (std::size_t i = 0; i < std::size(kKernelClasses); ++i)
      for (const Kernel& kernel : shapes_to_score(i))
        CHECK(kernel_time(shipped, gpu, kernel).value ==
              specmoe::approx(kernel_time(fitted, gpu, kernel).value).epsilon(0.02));
    CHECK(shipped.links.front().forward.bandwidth == fitted.links.front().forward.bandwidth);
    CHECK(shipped[gpu].host_calls.launch == fitted[gpu].host_calls.launch);
    CHECK(shipped[gpu].event_time == fitted[gpu].event_time);
  }
}

TEST_CASE("specmoe validate: the simulator is within its bounds") {
  const TemporaryFolder folder;
  const CommandResult result = specmoe_command(folder, "validate");
  CHECK_MESSAGE(result.status == 0, result.err);
  CHECK(result.out.find("h200 from h100") != std::string::npos);
  CHECK(result.out.find("not measured here") != std::string::npos);
}
