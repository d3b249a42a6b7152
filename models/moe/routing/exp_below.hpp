#pragma once
#include <algorithm>
#include <bit>

namespace specmoe {

/// e^x for x <= 0 to 2e-7 of its value: 2^n times a Taylor polynomial within half of ln 2. A loop over it becomes
/// vector instructions, and it does not depend on the platform's library.
inline float exp_below(float x) {
  x = std::max(x, -87.0f);
  const int n = static_cast<int>(x * 1.44269504f - 0.5f);
  const float r = x - static_cast<float>(n) * 0.693147181f;
  const float e =
      1 + r * (1 + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720))))));
  return e * std::bit_cast<float>((n + 127) << 23);
}

}  // namespace specmoe
