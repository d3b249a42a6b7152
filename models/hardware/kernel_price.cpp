#include "models/hardware/kernel_price.hpp"

#include <cmath>

namespace specmoe {

namespace {

constexpr std::size_t kMostKnown = 100'000;  // prices; a prompt's attention has a new shape every step

double real(std::int64_t count) { return static_cast<double>(count); }
double ratio(std::int64_t count, std::int64_t of) {
  return real(count) / real(std::max<std::int64_t>(1, of));
}

// ln(ratio) at a point along the curve.
double log_ratio(const Curve& curve, double along) {
  const auto right = std::lower_bound(curve.along.begin(), curve.along.end(), along);
  if (right == curve.along.begin()) return std::log(curve.ratio.front());
  if (right == curve.along.end()) return std::log(curve.ratio.back());
  const auto i = static_cast<std::size_t>(right - curve.along.begin());
  const double share = std::log(along / curve.along[i - 1]) / std::log(curve.along[i] / curve.along[i - 1]);
  return (1 - share) * std::log(curve.ratio[i - 1]) + share * std::log(curve.ratio[i]);
}

// Of two shapes, in factors: sum over the dimensions of ln(a / b)^2. Infinite where only one is 0.
double squared_distance(const ShapePoint& point, const Curve& curve) {
  double sum = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(point.dimensions); ++i)
    if (point.shape[i] != curve.shape[i]) sum += std::pow(std::log(point.shape[i] / curve.shape[i]), 2);
  return sum;
}

}  // namespace

ShapePoint shape_point(const Kernel& kernel) {
  struct Visitor {
    ShapePoint operator()(const Gemm& g) const { return {{real(g.n), real(g.k)}, 0, real(g.m), g.weights}; }
    ShapePoint operator()(const GroupedGemm& g) const {
      return {{real(g.groups), real(g.n), real(g.k)}, 0, ratio(g.rows, g.groups), g.weights};
    }
    ShapePoint operator()(const Attention& a) const {
      return {{real(a.heads), real(a.kv_heads), real(a.head_dim), real(a.sequences),
               ratio(a.queries, a.sequences)},
              0,
              ratio(a.kv_positions, a.sequences)};
    }
    ShapePoint operator()(const Elementwise& e) const {
      return {{real(e.width), real(e.reads), real(e.writes)}, 0, real(e.rows)};
    }
    ShapePoint operator()(const TopK& t) const { return {{real(t.width), real(t.k)}, 0, real(t.rows)}; }
  };
  ShapePoint point = std::visit(Visitor{}, kernel.work);
  point.dimensions = kShapeDimensions[kernel.work.index()];
  return point;
}

Roofline roofline(const Platform& platform, DeviceId id, const Kernel& kernel) {
  const Device& device = platform[id];
  const Saturation& s = device.saturation[kernel.work.index()];
  const BytesPerSecond memory = platform[device.memory].read;
  const Bytes bytes = memory_traffic(kernel);
  // Above 1, an efficiency is the L2 cache's.
  const Bytes beyond = s.memory_efficiency > 1 ? std::max(Bytes{0}, bytes - device.l2) : Bytes{0};
  const Seconds traffic = (bytes - beyond + s.half_bytes) / (memory * s.memory_efficiency) + beyond / memory;
  WeightFormat format = WeightFormat::bf16;
  double padding = 1;
  const auto pad = [&](std::int64_t rows, std::int64_t groups, WeightFormat weights) {
    // Rows are spread as evenly over the groups as they go: rows % groups of them have one more than the
    // others. Each group fills whole tiles.
    const auto tiled = [&](std::int64_t n) { return (n + s.tile_rows - 1) / s.tile_rows * s.tile_rows; };
    const std::int64_t each = rows / groups, fuller = rows % groups;
    padding = static_cast<double>(fuller * tiled(each + 1) + (groups - fuller) * tiled(each)) /
              static_cast<double>(std::max<std::int64_t>(1, rows));
    if (weights == WeightFormat::fp8 && device.peak.count(weights)) format = weights;
  };
  if (const auto* gemm = std::get_if<Gemm>(&kernel.work)) pad(gemm->m, 1, gemm->weights);
  if (const auto* gemm = std::get_if<GroupedGemm>(&kernel.work)) pad(gemm->rows, gemm->groups, gemm->weights);
  const Seconds arithmetic =
      Flops{flops(kernel).value * padding} / (device.peak.at(format) * s.compute_efficiency);
  return {s.floor, traffic, arithmetic};
}

Seconds roofline_time(const Platform& platform, DeviceId device, const Kernel& kernel) {
  return roofline(platform, device, kernel).time();
}

double correction(const Device& device, const Kernel& kernel) {
  const std::vector<Curve>& curves = device.curves[kernel.work.index()];
  if (curves.empty()) return 1;
  const ShapePoint point = shape_point(kernel);
  double weights = 1 / std::pow(std::log(64.0), 4), sum = 0;
  bool any = false;
  for (const Curve& curve : curves) {
    if (curve.format != point.format) continue;
    const double squared = squared_distance(point, curve);
    const double value = log_ratio(curve, point.along);
    if (squared == 0) return std::exp(value);
    weights += 1 / (squared * squared);
    sum += value / (squared * squared);
    any = true;
  }
  return any ? std::exp(sum / weights) : 1;
}

Seconds kernel_time(const Platform& platform, DeviceId device, const Kernel& kernel) {
  return kernel_price(platform, device, kernel).alone;
}

KernelPrice kernel_price(const Platform& platform, DeviceId id, const Kernel& kernel) {
  const Device& device = platform[id];
  const Roofline line = roofline(platform, id, kernel);
  const Seconds alone = line.time() * correction(device, kernel);
  return {alone,
          alone * (1 + (line.memory_bound() ? device.copy_slowdown_memory : device.copy_slowdown_compute))};
}

const KernelPrice& KernelPrices::price(const Kernel& kernel) {
  const Key key = key_of(kernel);
  const auto found = known_.find(key);
  if (found != known_.end()) return found->second;
  if (known_.size() >= kMostKnown) known_.clear();
  return known_.emplace(key, kernel_price(platform_, device_, kernel)).first->second;
}

KernelPrices::Key KernelPrices::key_of(const Kernel& kernel) {
  const auto index = static_cast<std::int64_t>(kernel.work.index());
  struct Visitor {
    std::int64_t index;
    Key operator()(const Gemm& g) const { return {index, g.m, g.n, g.k, static_cast<int>(g.weights)}; }
    Key operator()(const GroupedGemm& g) const {
      return {index, g.rows, g.groups, g.n, g.k, static_cast<int>(g.weights)};
    }
    Key operator()(const Attention& a) const {
      return {index, a.sequences, a.queries, a.kv_positions, a.pairs, a.heads, a.kv_heads, a.head_dim};
    }
    Key operator()(const Elementwise& e) const { return {index, e.rows, e.width, e.reads, e.writes}; }
    Key operator()(const TopK& t) const { return {index, t.rows, t.width, t.k}; }
  };
  return std::visit(Visitor{index}, kernel.work);
}

std::size_t KernelPrices::Hash::operator()(const Key& key) const {
  std::uint64_t hash = 0;
  for (const std::int64_t number : key) {  // 2^64 / golden ratio spreads neighbours (Knuth, 6.4)
    hash = (hash ^ static_cast<std::uint64_t>(number)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace specmoe
