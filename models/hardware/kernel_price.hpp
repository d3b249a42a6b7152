// What a kernel takes alone on a device: a roofline with the saturation of its class, corrected by measured curves.
#pragma once
#include <algorithm>
#include <array>
#include <unordered_map>

#include "models/hardware/platform.hpp"

namespace specmoe {

/// Dimensions of ShapePoint::shape by kernel class.
inline constexpr std::array<int, 5> kShapeDimensions{2, 3, 5, 3, 2};

/// Where a kernel lies among others of its class: what names a curve, and the coordinate along it.
///
///                shape                                                          along
///   Gemm         {n, k}                                                         m
///   GroupedGemm  {groups, n, k}                                                 rows / groups
///   Attention    {heads, kv_heads, head_dim, sequences, queries / sequences}    kv_positions / sequences
///   Elementwise  {width, reads, writes}                                         rows
///   TopK         {width, k}                                                     rows
struct ShapePoint {
  std::array<double, 5> shape{};
  /// So many of `shape` count; the others are 0.
  int dimensions = 0;
  double along = 0;
  /// The weights' of the two GEMMs, else bf16.
  WeightFormat format = WeightFormat::bf16;
};
ShapePoint shape_point(const Kernel& kernel);

/// The parts of a roofline; see Saturation.
struct Roofline {
  Seconds floor, traffic, arithmetic;

  Seconds time() const { return std::max({floor, traffic, arithmetic}); }
  /// So is a kernel at its floor.
  bool memory_bound() const { return arithmetic <= std::max(floor, traffic); }
};
Roofline roofline(const Platform& platform, DeviceId device, const Kernel& kernel);
/// What the kernel would take if its class had no curves.
Seconds roofline_time(const Platform& platform, DeviceId device, const Kernel& kernel);

/// Measured time / roofline_time at a kernel's point, from the class's curves of the kernel's format.
///
/// A curve's value is piecewise linear in ln(along) -> ln(ratio), and constant beyond its ends. A curve of the
/// kernel's own shape decides alone. Otherwise ln(correction) is the mean of the curves' ln(value), weighted with
/// 1 / d^4, d^2 = sum over the dimensions of ln(shape / other)^2, and of 0 with the weight 1 / (ln 64)^4: the
/// nearest shapes decide, and far from all of them the roofline stands.
/// @return 1 if there is no curve of the format
double correction(const Device& device, const Kernel& kernel);

/// Time of a kernel alone on a device: roofline_time * correction.
Seconds kernel_time(const Platform& platform, DeviceId device, const Kernel& kernel);

struct KernelPrice {
  Seconds alone;  // kernel_time
  /// When it starts while a copy crosses links into or out of the device's memory: (1 + Device::copy_slowdown) of
  /// it.
  Seconds beside_copies;
};
KernelPrice kernel_price(const Platform& platform, DeviceId device, const Kernel& kernel);

/// The prices of a device, each computed once: engines launch few shapes many times. The platform must outlive it.
class KernelPrices {
 public:
  KernelPrices(const Platform& platform, DeviceId device) : platform_(platform), device_(device) {}

  /// As kernel_price. The reference is good until the next call.
  const KernelPrice& price(const Kernel& kernel);
  /// As kernel_time.
  Seconds time(const Kernel& kernel) { return price(kernel).alone; }

 private:
  /// The class's index and the numbers that the class has.
  using Key = std::array<std::int64_t, 8>;
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  static Key key_of(const Kernel& kernel);

  const Platform& platform_;
  DeviceId device_;
  std::unordered_map<Key, KernelPrice, Hash> known_;
};

}  // namespace specmoe
