#include "sim/base/kernel.hpp"

#include <cmath>

namespace specmoe {

namespace {
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;    // clang 14 does not deduce it
constexpr std::int64_t kActivation = 2;  // bytes of a bf16 value
}  // namespace

double bits_per_weight(WeightFormat format) {
  switch (format) {
    case WeightFormat::fp32:
      return 32;
    case WeightFormat::bf16:
      return 16;
    case WeightFormat::fp8:
      return 8 + 32.0 / (128 * 128);
    case WeightFormat::int8:
      return 8 + 16.0 / 128;
    case WeightFormat::int4:
      return 4 + 32.0 / 128;
    case WeightFormat::mxfp4:
      return 4 + 8.0 / 32;
    case WeightFormat::int3:
      return 3 + 16.0 / 64 + 32.0 / 8192;
    case WeightFormat::int2:
      return 2.6;
  }
  return 0;
}

Bytes weight_bytes(std::int64_t count, WeightFormat format) {
  return {static_cast<std::int64_t>(std::ceil(static_cast<double>(count) * bits_per_weight(format) / 8))};
}

std::string_view name_of(WeightFormat format) {
  switch (format) {
    case WeightFormat::fp32:
      return "fp32";
    case WeightFormat::bf16:
      return "bf16";
    case WeightFormat::fp8:
      return "fp8";
    case WeightFormat::int8:
      return "int8";
    case WeightFormat::int4:
      return "int4";
    case WeightFormat::mxfp4:
      return "mxfp4";
    case WeightFormat::int3:
      return "int3";
    case WeightFormat::int2:
      return "int2";
  }
  return "";
}

Flops flops(const Kernel& kernel) {
  const auto product = [](auto... factors) { return (1.0 * ... * static_cast<double>(factors)); };
  return {std::visit(
      Overloaded{
          [&](const Gemm& g) { return product(2, g.m, g.n, g.k); },
          [&](const GroupedGemm& g) { return product(2, g.rows, g.n, g.k); },
          // QK^T and PV: two multiply-adds a pair, head and dimension
          [&](const Attention& a) { return product(2, a.pairs, a.heads, a.head_dim + a.values()); },
          [&](const Elementwise& e) { return product(e.rows, e.width); },
          [&](const TopK& t) { return product(t.rows, t.width); },
      },
      kernel.work)};
}

Bytes memory_traffic(const Kernel& kernel) {
  return std::visit(
      Overloaded{
          [](const Gemm& g) {
            return weight_bytes(g.n * g.k, g.weights) + Bytes{kActivation * g.m * (g.k + g.n)};
          },
          [](const GroupedGemm& g) {
            return weight_bytes(g.groups * g.n * g.k, g.weights) + Bytes{kActivation * g.rows * (g.k + g.n)};
          },
          [](const Attention& a) {
            const std::int64_t cached = a.head_dim + (a.values_in_keys ? 0 : a.values());
            return Bytes{kActivation * (a.kv_positions * a.kv_heads * cached +
                                        a.queries * a.heads * (a.head_dim + a.values()))};
          },
          [](const Elementwise& e) { return Bytes{kActivation * e.rows * e.width * (e.reads + e.writes)}; },
          [](const TopK& t) { return Bytes{kActivation * t.rows * t.width + 8 * t.rows * t.k}; },
      },
      kernel.work);
}

}  // namespace specmoe
