// Quantities as types. GB = 10^9 B, GiB = 2^30 B; text forms ("25 GB/s") are read in yaml.hpp.
#pragma once
#include <compare>
#include <cstdint>

namespace specmoe {

/// A count of bytes; exact, so that bytes on a link can be compared with ==.
struct Bytes {
  std::int64_t count = 0;
  friend constexpr auto operator<=>(Bytes, Bytes) = default;
};

/// A duration or a date on a machine's clock, in seconds.
struct Seconds {
  double value = 0;
  friend constexpr auto operator<=>(Seconds, Seconds) = default;
};

/// Bandwidth in bytes a second.
struct BytesPerSecond {
  double value = 0;
  friend constexpr auto operator<=>(BytesPerSecond, BytesPerSecond) = default;
};

/// Floating-point (or integer) operations; a multiply-add counts as two.
struct Flops {
  double value = 0;
  friend constexpr auto operator<=>(Flops, Flops) = default;
};

/// Operations a second.
struct FlopsPerSecond {
  double value = 0;
  friend constexpr auto operator<=>(FlopsPerSecond, FlopsPerSecond) = default;
};

/// Power in watts.
struct Watts {
  double value = 0;
  friend constexpr auto operator<=>(Watts, Watts) = default;
};

/// Energy in joules.
struct Joules {
  double value = 0;
  friend constexpr auto operator<=>(Joules, Joules) = default;
};

/// What moving a byte takes.
struct JoulesPerByte {
  double value = 0;
  friend constexpr auto operator<=>(JoulesPerByte, JoulesPerByte) = default;
};

constexpr Bytes operator+(Bytes a, Bytes b) { return {a.count + b.count}; }
constexpr Bytes operator-(Bytes a, Bytes b) { return {a.count - b.count}; }
constexpr Bytes operator*(Bytes a, std::int64_t n) { return {a.count * n}; }
constexpr Bytes operator*(std::int64_t n, Bytes a) { return {a.count * n}; }
constexpr Bytes& operator+=(Bytes& a, Bytes b) { return a = a + b; }
constexpr Bytes& operator-=(Bytes& a, Bytes b) { return a = a - b; }

constexpr Seconds operator+(Seconds a, Seconds b) { return {a.value + b.value}; }
constexpr Seconds operator-(Seconds a, Seconds b) { return {a.value - b.value}; }
constexpr Seconds operator*(Seconds a, double x) { return {a.value * x}; }
constexpr Seconds operator*(double x, Seconds a) { return {a.value * x}; }
constexpr double operator/(Seconds a, Seconds b) { return a.value / b.value; }
constexpr Seconds operator/(Seconds a, double x) { return {a.value / x}; }
constexpr Seconds& operator+=(Seconds& a, Seconds b) { return a = a + b; }

constexpr Flops operator+(Flops a, Flops b) { return {a.value + b.value}; }
constexpr FlopsPerSecond operator*(FlopsPerSecond a, double x) { return {a.value * x}; }
constexpr BytesPerSecond operator*(BytesPerSecond a, double x) { return {a.value * x}; }

constexpr Watts operator-(Watts a, Watts b) { return {a.value - b.value}; }
constexpr Joules operator+(Joules a, Joules b) { return {a.value + b.value}; }
constexpr Joules operator-(Joules a, Joules b) { return {a.value - b.value}; }
constexpr Joules& operator+=(Joules& a, Joules b) { return a = a + b; }
constexpr Joules operator*(Watts p, Seconds t) { return {p.value * t.value}; }
constexpr Joules operator*(Bytes a, JoulesPerByte e) { return {static_cast<double>(a.count) * e.value}; }

constexpr Seconds operator/(Bytes a, BytesPerSecond b) { return {static_cast<double>(a.count) / b.value}; }
constexpr BytesPerSecond operator/(Bytes a, Seconds t) { return {static_cast<double>(a.count) / t.value}; }
constexpr Seconds operator/(Flops a, FlopsPerSecond b) { return {a.value / b.value}; }
constexpr double operator/(Bytes a, Bytes b) {
  return static_cast<double>(a.count) / static_cast<double>(b.count);
}

}  // namespace specmoe
