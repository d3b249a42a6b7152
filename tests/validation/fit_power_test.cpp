#include "validation/calibration/fit_power.hpp"

#include <doctest/doctest.h>

#include "sim/base/build_info.hpp"
#include "tests/approx.hpp"
#include "validation/calibration/fit.hpp"

using namespace specmoe;

namespace {

// A board of 100 W idle, 400 W and 700 W at work, 111 W while 50 GB/s come in, 104 W while 40 GB/s go out.
Measurement readings(const char* experiment, double factor = 1) {
  Measurement m;
  m.experiments[experiment].names = m.experiments["power/rate"].names = {"what"};
  const double watts[] = {100, 400, 700, 111, 104};
  for (std::int64_t what = 0; what < 5; ++what)  // one reading is far off
    m.experiments[experiment].points.push_back(
        {{what}, {9000, watts[what] * factor, watts[what] * factor}, 0});
  for (const auto& [what, rate] : {std::pair{3, 50e9}, {4, 40e9}})
    m.experiments["power/rate"].points.push_back({{what}, {rate}, 0});
  return m;
}

}  // namespace

TEST_CASE("fit: power is the median of its readings, and what copies draw beyond idle is their bytes'") {
  const auto power = fit_power(readings("power/usage"));
  REQUIRE(power.has_value());
  CHECK(power->gpu.idle == Watts{100});
  CHECK(power->gpu.memory_bound == Watts{400});
  CHECK(power->gpu.compute_bound == Watts{700});
  CHECK(power->in.value == approx(220e-12));   // 11 W / 50 GB/s
  CHECK(power->out.value == approx(100e-12));  // 4 W / 40 GB/s
}

TEST_CASE("fit: the board's energy counter goes before its readings of power") {
  Measurement m = readings("power/usage");
  m.experiments["power/counter"] = readings("power/counter", 2).experiments["power/counter"];
  const auto power = fit_power(m);
  REQUIRE(power.has_value());
  CHECK(power->experiment == "power/counter");
  CHECK(power->gpu.idle == Watts{200});
}

TEST_CASE("fit: without readings there is no power") { CHECK_FALSE(fit_power(Measurement{}).has_value()); }

TEST_CASE("fit: measured power goes into the platform, with the GPU's links, and a guess for the CPU") {
  Measurement m = Measurement::read(home() / "validation/measurements/h200.h5");
  const FitOptions options{"h200", "a test", "h200.h5", {}};
  m.experiments.erase("power/counter");  // of the real board
  for (const auto& [name, experiment] : readings("power/usage").experiments) m.experiments[name] = experiment;
  const Platform platform = fit_platform(m, options).platform;
  REQUIRE(platform.has_power());
  const PowerDraw power = *platform[platform.first(Device::Kind::gpu)].power;
  CHECK(power.idle == Watts{100});
  CHECK(power.memory_bound == Watts{400});
  CHECK(power.compute_bound == Watts{700});
  CHECK(platform.links[0].forward.energy->value == approx(220e-12));
  CHECK(platform.links[0].backward.energy->value == approx(100e-12));
  for (const Provenance& p : platform.provenance)
    if (p.path.find("power") != std::string::npos)
      CHECK(p.unverified == (p.path.find(".cpu.") != std::string::npos));
}
