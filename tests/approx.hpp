// doctest's Approx measures by 1 beside the numbers, so that 5e-6 would be equal to 0; this one by the numbers alone.
#pragma once
#include <doctest/doctest.h>

namespace specmoe {

inline doctest::Approx approx(double value) { return doctest::Approx(value).scale(0); }

}  // namespace specmoe
