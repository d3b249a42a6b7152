#include "models/hardware/kernel_price.hpp"

#include <cmath>

namespace specmoe {

namespace {

constexpr std::size_t kMostKnown = 100'000;  // prices; a prompt's attention has a new shape every step

double real(std::int64_t count) { return static_cast<double>(count); }
double ratio(std::int64_t count, std::int64_t of) {
  return real(count) / real(std::max<std::int64_t>(1, of));
}

// A curve's value at a point along it: piecewise linear in ln(along), constant beyond its ends.
template <class Value>
double at(const Curve& curve, double along, const Value& value) {
  const auto right = std::lower_bound(curve.along.begin(), curve.along.end(), along);
  if (right == curve.along.begin()) return value(0);
  if (right == curve.along.end()) return value(curve.along.size() - 1);
  const auto i = static_cast<std::size_t>(right - curve.along.begin());
  const double share = std::log(along / curve.along[i - 1]) / std::log(curve.along[i] / curve.along[i - 1]);
  return (1 - share) * value(i - 1) + share * value(i);
}

double log_ratio(const Curve& curve, double along) {
  return at(curve, along, [&](std::size_t i) { return std::log(curve.ratio[i]); });
}

constexpr std::size_t kMostDimensions = 5;
using Vector = std::array<double, kMostDimensions>;

// x = ln(curve / point) by dimension, and |x|^2. Infinite where only one is 0.
double offset(const ShapePoint& point, const Curve& curve, Vector& x) {
  double squared = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(point.dimensions); ++i) {
    x[i] = point.shape[i] == curve.shape[i] ? 0 : std::log(curve.shape[i] / point.shape[i]);
    squared += x[i] * x[i];
  }
  return squared;
}

// Sums for a weighted least-squares plane through values over offsets.
struct Plane {
  double weight = 0, value = 0, squared = 0;  // of w, w v, w |x|^2
  Vector x{}, xv{};                           // of w x, w x v
  std::array<Vector, kMostDimensions> xx{};   // of w x x^T

  void add(double w, const Vector& at, double v, std::size_t dimensions) {
    weight += w;
    value += w * v;
    for (std::size_t i = 0; i < dimensions; ++i) {
      squared += w * at[i] * at[i];
      x[i] += w * at[i];
      xv[i] += w * at[i] * v;
      for (std::size_t j = 0; j <= i; ++j) xx[i][j] += w * at[i] * at[j];
    }
  }

  // At x = 0: mean value - slopes * mean x. The slopes solve (covariance of x + ridge) slopes = covariance of x and v,
  // by Cholesky's decomposition, in place.
  double at_origin(double ridge, std::size_t dimensions) {
    for (std::size_t i = 0; i < dimensions; ++i) x[i] /= weight;
    Vector slope{};
    for (std::size_t i = 0; i < dimensions; ++i) {
      slope[i] = xv[i] / weight - x[i] * value / weight;
      for (std::size_t j = 0; j <= i; ++j) xx[i][j] = xx[i][j] / weight - x[i] * x[j];
      xx[i][i] += ridge * squared / weight;
    }
    for (std::size_t i = 0; i < dimensions; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        for (std::size_t k = 0; k < j; ++k) xx[i][j] -= xx[i][k] * xx[j][k];
        xx[i][j] = i == j ? std::sqrt(xx[i][i]) : xx[i][j] / xx[j][j];
      }
      for (std::size_t k = 0; k < i; ++k) slope[i] -= xx[i][k] * slope[k];
      slope[i] /= xx[i][i];
    }
    double result = value / weight;
    for (std::size_t i = dimensions; i-- > 0;) {
      for (std::size_t k = i + 1; k < dimensions; ++k) slope[i] -= xx[k][i] * slope[k];
      slope[i] /= xx[i][i];
      result -= slope[i] * x[i];
    }
    return result;
  }
};

}  // namespace

AttentionBlocks attention_blocks(const Attention& a, std::int64_t tile) {
  const double queries = ratio(a.queries, a.sequences), positions = ratio(a.kv_positions, a.sequences);
  const auto many = [](std::int64_t count) { return real(std::max<std::int64_t>(1, count)); };
  if (queries <= 1) return {true, many(a.sequences * a.kv_heads), positions, positions};
  const double rows = real(tile), tiles = std::ceil(queries / rows), most = std::ceil(positions / rows);
  // Were every query to see the positions up to its own: block i of the first tiles - 1 ends (i + 1) tiles beyond those
  // before all queries. Another mask has so much more or less to walk as it has pairs.
  const double before = std::max(0.0, positions - queries);
  const double causal = (tiles - 1) * std::ceil(before / rows) + tiles * (tiles - 1) / 2 + most;
  const double pairs = queries * before + queries * (queries + 1) / 2;
  const double walked = std::min(tiles * most, causal * ratio(a.pairs, a.sequences) / pairs);
  return {false, many(a.sequences * a.heads) * tiles, std::max(1.0, walked / tiles) * rows, most * rows};
}

ShapePoint shape_point(const Kernel& kernel, std::int64_t tile_rows) {
  struct Visitor {
    std::int64_t tile_rows;
    ShapePoint operator()(const Gemm& g) const { return {{real(g.n), real(g.k)}, 0, real(g.m), g.weights}; }
    ShapePoint operator()(const GroupedGemm& g) const {
      return {{real(g.groups * g.n), real(g.n), real(g.k)}, 0, ratio(g.rows, g.groups), g.weights};
    }
    ShapePoint operator()(const Attention& a) const {
      const AttentionBlocks b = attention_blocks(a, tile_rows);
      return {{real(a.head_dim), b.blocks, b.one_query ? 0 : b.mean_positions / b.most_positions},
              0,
              b.most_positions};
    }
    ShapePoint operator()(const Elementwise& e) const {
      return {{real(e.reads), real(e.writes)}, 0, real(e.rows * e.width * (e.reads + e.writes))};
    }
    ShapePoint operator()(const TopK& t) const { return {{real(t.width), real(t.k)}, 0, real(t.rows)}; }
  };
  ShapePoint point = std::visit(Visitor{tile_rows}, kernel.work);
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
  Seconds floor = s.floor;
  if (const auto* top = std::get_if<TopK>(&kernel.work))
    floor = std::max(floor, real(top->k) * (s.block + real(top->width) * s.serial));
  if (const auto* attention = std::get_if<Attention>(&kernel.work)) {
    const AttentionBlocks b = attention_blocks(*attention, s.tile_rows);
    const double at_once = real(device.multiprocessors);
    if (b.one_query) {
      const double room = at_once * real(s.resident) * 128 / real(attention->head_dim);
      floor = std::max(floor, s.block * (at_once > 0 ? std::ceil(b.blocks / room) : 1));
    } else {
      floor = std::max(floor, s.block + s.serial * b.most_positions);
      const double beside = s.serial > Seconds{0} ? s.block / s.serial : 0;
      const double pairs = b.blocks * real(s.tile_rows) * (b.mean_positions + beside);
      if (s.tile_rows > 1) padding = pairs / std::max(1.0, real(attention->pairs * attention->heads));
      if (at_once > 0) padding *= std::ceil(b.blocks / at_once) * at_once / b.blocks;
    }
  }
  const Seconds arithmetic =
      Flops{flops(kernel).value * padding} / (device.peak.at(format) * s.compute_efficiency);
  return {floor, traffic, arithmetic, s.start};
}

Seconds roofline_time(const Platform& platform, DeviceId device, const Kernel& kernel) {
  return roofline(platform, device, kernel).time();
}

double correction(const Device& device, const Kernel& kernel) {
  const std::size_t kernel_class = kernel.work.index();
  const std::vector<Curve>& curves = device.curves[kernel_class];
  if (curves.empty()) return 1;
  constexpr double kRidge = 0.1;
  const ShapePoint point = shape_point(kernel, device.saturation[kernel_class].tile_rows);
  const auto dimensions = static_cast<std::size_t>(point.dimensions);
  Plane plane;
  double least = INFINITY, most = -INFINITY;
  for (const Curve& curve : curves) {
    if (curve.format != point.format) continue;
    Vector x{};
    const double squared = offset(point, curve, x);
    if (std::isinf(squared)) continue;
    const double value = log_ratio(curve, point.along);
    if (squared == 0) return std::exp(value);
    plane.add(1 / (squared * squared), x, value, dimensions);
    least = std::min(least, value);
    most = std::max(most, value);
  }
  if (plane.weight == 0) return 1;
  const double roofline_weight = 1 / std::pow(std::log(64.0), 4);
  const double here = std::clamp(plane.at_origin(kRidge, dimensions), least, most);
  return std::exp(here * plane.weight / (plane.weight + roofline_weight));
}

Seconds kernel_time(const Platform& platform, DeviceId device, const Kernel& kernel) {
  return kernel_price(platform, device, kernel).alone;
}

KernelPrice kernel_price(const Platform& platform, DeviceId id, const Kernel& kernel) {
  const Device& device = platform[id];
  const Roofline line = roofline(platform, id, kernel);
  const Seconds alone = line.time() * correction(device, kernel);
  return {alone,
          alone * (1 + (line.memory_bound() ? device.copy_slowdown_memory : device.copy_slowdown_compute)),
          launch_call(device, kernel), line.memory_bound()};
}

Seconds launch_call(const Device& device, const Kernel& kernel) {
  const std::size_t kernel_class = kernel.work.index();
  const Seconds call = device.host_calls.work + device.host_calls.launch;
  const ShapePoint point = shape_point(kernel, device.saturation[kernel_class].tile_rows);
  for (const Curve& curve : device.curves[kernel_class])
    if (!curve.dispatch.empty() && curve.format == point.format && curve.shape == point.shape)
      return call + Seconds{at(curve, point.along, [&](std::size_t i) { return curve.dispatch[i].value; })};
  return call + device.saturation[kernel_class].dispatch;
}

const KernelPrice& KernelPrices::price(const Kernel& kernel) {
  const Key key = key_of(kernel);
  Recent& recent = recent_[Hash()(key) % recent_.size()];
  if (recent.key != key) recent = {key, find(key, kernel)};
  return recent.price;
}

const KernelPrice& KernelPrices::find(const Key& key, const Kernel& kernel) {
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
      // Both are below 2^20 (model_read.cpp): one number for the two.
      const std::int64_t values = 2 * a.values() + (a.values_in_keys ? 1 : 0);
      return {index,   a.sequences, a.queries,  a.kv_positions,
              a.pairs, a.heads,     a.kv_heads, a.head_dim << 32 | values};
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
