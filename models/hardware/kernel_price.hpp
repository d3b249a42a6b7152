// What a kernel takes alone on a device: a roofline with the saturation of its class, corrected by measured curves.
#pragma once
#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "models/hardware/platform.hpp"

namespace specmoe {

/// Dimensions of ShapePoint::shape by kernel class.
inline constexpr std::array<int, 5> kShapeDimensions{2, 3, 3, 2, 2};

/// How attention divides its work, of a sequence of mean length. With one query a sequence a block takes a kv head of
/// a sequence, or several share its positions if that makes too few blocks. Otherwise a block takes `tile` queries of
/// a head and walks in tiles of as many positions over those that its last query sees.
struct AttentionBlocks {
  bool one_query;
  double blocks;
  /// Of a block, and of the longest; of one query all positions of the sequence.
  double mean_positions, most_positions;
};
AttentionBlocks attention_blocks(const Attention& attention, std::int64_t tile);

/// Where a kernel lies among others of its class: what names a curve, and the coordinate along it.
///
///                shape                                                          along
///   Gemm         {n, k}                                                         m
///   GroupedGemm  {groups * n, n, k}                                             rows / groups
///   Attention    {head_dim, blocks, 0 for one query a sequence, else            most_positions
///                 mean_positions / most_positions}; see AttentionBlocks
///   Elementwise  {reads, writes}                                                rows * width * (reads + writes)
///   TopK         {width, k}                                                     rows
struct ShapePoint {
  std::array<double, 5> shape{};
  /// So many of `shape` count; the others are 0.
  int dimensions = 0;
  double along = 0;
  /// The weights' of the two GEMMs, else bf16.
  WeightFormat format = WeightFormat::bf16;
};
/// @param tile_rows of the class's Saturation: attention's blocks depend on it
ShapePoint shape_point(const Kernel& kernel, std::int64_t tile_rows);

/// The parts of a roofline; see Saturation.
struct Roofline {
  Seconds floor, traffic, arithmetic, start{};

  Seconds time() const { return start + std::max({floor, traffic, arithmetic}); }
  /// So is a kernel at its floor.
  bool memory_bound() const { return arithmetic <= std::max(floor, traffic); }
};
Roofline roofline(const Platform& platform, DeviceId device, const Kernel& kernel);
/// What the kernel would take if its class had no curves.
Seconds roofline_time(const Platform& platform, DeviceId device, const Kernel& kernel);

/// Measured time / roofline_time at a kernel's point, from the class's curves of the kernel's format.
///
/// A curve's value is piecewise linear in ln(along) -> ln(ratio), and constant beyond its ends. A curve of the
/// kernel's own shape decides alone. Otherwise a plane through the curves' ln(value) over x = ln(other / shape), by
/// least squares weighted with 1 / d^4, d = |x|, is read at x = 0: the nearest shapes decide, and what changes from
/// one to the next is carried on. A tenth of the weighted mean d^2 is added to the variance of each dimension, which
/// keeps the plane flat where the curves do not tell its slope (ridge regression); it is not followed beyond the least
/// and the greatest of the curves' values. The result is averaged with 0 of the weight 1 / (ln 64)^4: far from all
/// shapes the roofline stands.
/// @return 1 if there is no curve of the format
double correction(const Device& device, const Kernel& kernel);

/// Time of a kernel alone on a device: roofline_time * correction.
Seconds kernel_time(const Platform& platform, DeviceId device, const Kernel& kernel);

/// What the launch of a kernel costs the host: work, launch and dispatch; the dispatch of a curve of the kernel's own
/// shape, piecewise linear in ln(along), or else its class's.
Seconds launch_call(const Device& device, const Kernel& kernel);

/// What a kernel takes of a device and of the host.
struct KernelPrice {
  Seconds alone;  // kernel_time
  /// When it starts while a copy crosses links into or out of the device's memory: (1 + Device::copy_slowdown) of
  /// it.
  Seconds beside_copies;
  Seconds launch;            // launch_call
  bool memory_bound = true;  // Roofline::memory_bound
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
  const KernelPrice& find(const Key& key, const Kernel& kernel);

  const Platform& platform_;
  DeviceId device_;
  std::unordered_map<Key, KernelPrice, Hash> known_;
  /// The last of each hash's low bits: most launches are of a few shapes in turn.
  struct Recent {
    Key key{-1};  // no class's
    KernelPrice price{};
  };
  std::vector<Recent> recent_ = std::vector<Recent>(256);
};

}  // namespace specmoe
