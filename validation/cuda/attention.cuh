// What decode and prefill attention share: rows of keys and values into shared memory, and the online softmax.
#pragma once
#include <cmath>

#include "kernels.hpp"
#include "tensor.cuh"

namespace specmoe::cuda {

/// One query a sequence: positions are split over the device.
template <class T, int kDim>
cudaError_t launch_decode(const AttentionArgs& args, cudaStream_t stream);
/// Many queries: 64 of a head a block.
template <class T, int kDim>
cudaError_t launch_prefill(const AttentionArgs& args, cudaStream_t stream);

constexpr int kElements = SumFragment::num_elements;
constexpr unsigned kAll = 0xffffffffu;

// log2(e) / sqrt(head_dim): weights are powers of two.
inline float score_scale(int head_dim) { return 1.44269504f / std::sqrt(static_cast<float>(head_dim)); }

// kRows rows of kDim elements, `stride` apart in memory and kDim + kPad apart in shared memory, by kThreads.
template <int kRows, int kDim, int kThreads, class T>
__device__ __forceinline__ void fetch_rows(T* to, const T* from, std::int64_t stride, int rows, int thread) {
  constexpr int kVectors = kDim / 8;
  const int row = thread / kVectors, d = thread % kVectors * 8;
#pragma unroll
  for (int r = 0; r < kRows; r += kThreads / kVectors)
    fetch_16_bytes(to + (row + r) * (kDim + kPad) + d, from + (row + r) * stride + d, row + r < rows);
}

// wmma does not say which rows of a 16 x 16 sum a lane holds: a matrix of row numbers, loaded once, does.
__device__ __forceinline__ void find_rows(float* slab, int stride, int (&row)[kElements]) {
  const int lane = threadIdx.x % 32;
  for (int i = lane; i < 256; i += 32) slab[i / 16 * stride + i % 16] = static_cast<float>(i / 16);
  __syncwarp();
  SumFragment numbers;
  wmma::load_matrix_sync(numbers, slab, stride, wmma::mem_row_major);
  for (int e = 0; e < kElements; ++e) row[e] = static_cast<int>(numbers.x[e]);
  __syncwarp();
}

// Multiplies row i of the sums by the `factor` of lanes 2i and 2i + 1.
template <int kCount>
__device__ __forceinline__ void scale_rows(SumFragment (&sum)[kCount], const int (&row)[kElements],
                                           float* factors, float factor) {
  if (!__any_sync(kAll, factor != 1.f)) return;
  if (threadIdx.x % 2 == 0) factors[threadIdx.x % 32 / 2] = factor;
  __syncwarp();
#pragma unroll
  for (int e = 0; e < kElements; ++e) {
    const float f = factors[row[e]];
#pragma unroll
    for (int c = 0; c < kCount; ++c) sum[c].x[e] *= f;
  }
  __syncwarp();
}

// Maximum (base 2) and sum of the weights so far, of row lane / 2.
struct RowState {
  float peak = -INFINITY, sum = 0;
};

// 16 x kColumns scores in `slab` become weights of type T, in place; of the lane's row the first `visible`
// columns count. Returns what earlier sums of the row must be multiplied by. Rows are kColumns + 8 apart.
template <class T, int kColumns>
__device__ __forceinline__ float soften(float* slab, int visible, float scale, RowState& state) {
  constexpr int kStride = kColumns + 8;
  const int lane = threadIdx.x % 32, row = lane / 2, first = lane % 2 * 4;
  float weight[kColumns / 2], peak = state.peak;
#pragma unroll
  for (int i = 0; i < kColumns / 8; ++i) {
    const float4 score = *reinterpret_cast<const float4*>(slab + row * kStride + i * 8 + first);
    const float four[4] = {score.x, score.y, score.z, score.w};
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      weight[i * 4 + e] = i * 8 + first + e < visible ? four[e] * scale : -INFINITY;
      peak = fmaxf(peak, weight[i * 4 + e]);
    }
  }
  peak = fmaxf(peak, __shfl_xor_sync(kAll, peak, 1));
  const float base = peak == -INFINITY ? 0.f : peak;  // a row that sees nothing yet
  const float factor = exp2f(state.peak - base);
  float sum = 0;
  __syncwarp();  // all scores are read
#pragma unroll
  for (int i = 0; i < kColumns / 8; ++i) {
    __align__(8) T four[4];
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const float w = exp2f(weight[i * 4 + e] - base);
      sum += w;
      four[e] = T(w);
    }
    *reinterpret_cast<uint2*>(reinterpret_cast<T*>(slab) + row * kStride + i * 8 + first) =
        *reinterpret_cast<const uint2*>(four);
  }
  sum += __shfl_xor_sync(kAll, sum, 1);
  state = {peak, state.sum * factor + sum};
  __syncwarp();
  return factor;
}

template <class T>
__device__ __forceinline__ void store_4(T* to, float4 value) {
  __align__(8) const T four[4] = {T(value.x), T(value.y), T(value.z), T(value.w)};
  *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(four);
}

}  // namespace specmoe::cuda
