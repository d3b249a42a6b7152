// What a kernel computes: shapes and formats, no time. The currency between models/moe (which states kernels)
// and models/hardware (which prices them); CudaMachine runs kernels of the same shapes.
#pragma once
#include <cstdint>
#include <string_view>
#include <variant>

#include "sim/base/units.hpp"

namespace specmoe {

/// How weights are stored. Activations and the KV cache are bf16.
enum class WeightFormat { fp32, bf16, fp8, int8, int4, mxfp4, int3, int2 };

/// Stored bits a weight, with its scales and zero points:
/// fp8 8 + 32/16384 (float32 scale a block of 128 x 128, DeepSeek-V3); int8 8 + 16/128 and int4 4 + 32/128,
/// int3 3 + 16/64 + 32/8192 (HQQ group 64, 8-bit zero and scale); int2 2.6 (HQQ group 16, as published by
/// Eliseev & Mazur 2023); mxfp4 4 + 8/32 (OCP microscaling).
double bits_per_weight(WeightFormat format);
/// Bytes of `count` weights, rounded up.
Bytes weight_bytes(std::int64_t count, WeightFormat format);
std::string_view name_of(WeightFormat format);

/// [m, k] x [k, n] -> [m, n]; the [k, n] operand is a weight.
struct Gemm {
  std::int64_t m, n, k;
  WeightFormat weights = WeightFormat::bf16;
  friend bool operator==(const Gemm&, const Gemm&) = default;
};
/// `groups` independent Gemms, all [k, n], over `rows` input rows in all: experts computed by one launch.
struct GroupedGemm {
  std::int64_t rows, groups, n, k;
  WeightFormat weights = WeightFormat::bf16;
  friend bool operator==(const GroupedGemm&, const GroupedGemm&) = default;
};
/// Attention of `queries` new positions (over all sequences) against a KV cache of `kv_positions` (summed
/// over the sequences); `pairs` is the number of (query, key) pairs attended to, so a causal or windowed
/// prefill is exact. `head_dim` is the width of queries and keys, `value_dim` that of values and outputs (0: the
/// same). With `values_in_keys` the values are the first `value_dim` elements of the keys, which are read once:
/// multi-head latent attention in its absorbed form.
struct Attention {
  std::int64_t sequences, queries, kv_positions, pairs;
  std::int64_t heads, kv_heads, head_dim;
  std::int64_t value_dim = 0;
  bool values_in_keys = false;

  std::int64_t values() const { return value_dim > 0 ? value_dim : head_dim; }
  friend bool operator==(const Attention&, const Attention&) = default;
};
/// Reads `reads` and writes `writes` arrays of [rows, width] bf16: norms, activations, rotary embedding,
/// residuals, embedding look-up, weighted sum of expert outputs.
struct Elementwise {
  std::int64_t rows, width;
  std::int64_t reads = 1, writes = 1;
  friend bool operator==(const Elementwise&, const Elementwise&) = default;
};
/// Softmax and top-k over [rows, width] router logits.
struct TopK {
  std::int64_t rows, width, k;
  friend bool operator==(const TopK&, const TopK&) = default;
};

/// A kernel of one of these kinds, and what it is called on a timeline.
struct Kernel {
  std::variant<Gemm, GroupedGemm, Attention, Elementwise, TopK> work;
  /// For the timeline: a static string ("attention"), the model's layer, and the expert if it is one
  /// expert's.
  const char* name = "";
  std::int32_t layer = -1;
  std::int32_t expert = -1;
};

/// Arithmetic of the kernel, two operations a multiply-add. Elementwise and TopK count one operation an
/// element.
Flops flops(const Kernel& kernel);
/// Bytes that must cross the device's memory once: weights, inputs, outputs, KV cache.
Bytes memory_traffic(const Kernel& kernel);

}  // namespace specmoe
