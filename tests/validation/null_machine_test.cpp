#include "validation/calibration/null_machine.hpp"

#include <doctest/doctest.h>

#include <initializer_list>

using namespace specmoe;

TEST_CASE("null machine: the engine's own time a call is some, and below 20 us") {
  for (const int batch : {1, 4}) {
    CAPTURE(batch);
    const double seconds = engine_seconds_per_call(batch);
    CHECK(seconds > 0);
    CHECK(seconds < 20e-6);  // 0.1 us at rest: bounds against a wrong divisor, not a timed test
  }
}
