// Softmax and top-k of router or vocabulary logits: a warp a row, or a block a row when rows are long.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <climits>
#include <cmath>

#include "kernels.hpp"

namespace specmoe::cuda {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kWarpRow = 1024, kLongThreads = 1024, kRowsABlock = 4;

template <class T>
struct alignas(16) Eight {
  T value[8];
};

struct Ranked {
  float value;
  int index;
};

__device__ __forceinline__ bool before(Ranked a, Ranked b) {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

__device__ __forceinline__ Ranked first_of_warp(Ranked best) {
  for (int distance = 16; distance > 0; distance /= 2) {
    const Ranked other{__shfl_xor_sync(kAll, best.value, distance),
                       __shfl_xor_sync(kAll, best.index, distance)};
    if (before(other, best)) best = other;
  }
  return best;
}

__device__ __forceinline__ float sum_of_warp(float sum) {
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(kAll, sum, distance);
  return sum;
}

// Calls visit(first, value[8]) for the thread's shares of the row; the rest of a last share is -infinity.
template <int kThreads, class T, class Visit>
__device__ __forceinline__ void for_each_eight(const T* row, int width, int thread, Visit visit) {
  for (int first = thread * 8; first < width; first += kThreads * 8) {
    float value[8];
    if (width % 8 == 0) {
      const Eight<T> eight = *reinterpret_cast<const Eight<T>*>(row + first);
#pragma unroll
      for (int e = 0; e < 8; ++e) value[e] = static_cast<float>(eight.value[e]);
    } else {
#pragma unroll
      for (int e = 0; e < 8; ++e)
        value[e] = first + e < width ? static_cast<float>(row[first + e]) : -INFINITY;
    }
    visit(first, value);
  }
}

// A pass over the row finds each rank as the first element after the rank before it; only the first pass
// comes from memory, the others find the row in a cache. The first pass also sums the softmax.
template <class T, int kThreads>
__global__ void __launch_bounds__(kThreads > 32 ? kThreads : 32 * kRowsABlock)
    rank_rows(const T* logits, std::int64_t rows, int width, int k, std::int32_t* indices, float* weights) {
  constexpr bool kBlock = kThreads > 32;
  __shared__ Ranked bests[32];
  __shared__ float sums[32];
  const std::int64_t row = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kThreads;
  const int thread = threadIdx.x % kThreads, lane = threadIdx.x % 32;
  if (row >= rows) return;  // whole warps

  Ranked last{INFINITY, -1};
  float peak = 0, sum = 0;  // of the whole row, after the first pass
  for (int rank = 0; rank < k; ++rank) {
    Ranked best{-INFINITY, INT_MAX};
    float my_peak = -INFINITY;
    for_each_eight<kThreads>(logits + row * width, width, thread, [&](int first, const float(&value)[8]) {
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        const Ranked candidate{value[e], first + e};
        if (before(last, candidate) && before(candidate, best)) best = candidate;
      }
      if (rank > 0) return;
      // Only once every eight elements is the sum rescaled: one exponential an element.
      const float scale = __expf(my_peak - best.value);
      my_peak = best.value;
      sum *= scale;
#pragma unroll
      for (int e = 0; e < 8; ++e) sum += __expf(value[e] - my_peak);
    });
    best = first_of_warp(best);
    if (kBlock) {
      if (lane == 0) bests[threadIdx.x / 32] = best;
      __syncthreads();
      best = first_of_warp(bests[lane]);
      __syncthreads();
    }
    if (rank == 0) {
      peak = best.value;
      sum = sum_of_warp(sum * __expf(my_peak - peak));
      if (kBlock) {
        if (lane == 0) sums[threadIdx.x / 32] = sum;
        __syncthreads();
        sum = sum_of_warp(sums[lane]);
      }
    }
    if (thread == 0) {
      indices[row * k + rank] = best.index;
      weights[row * k + rank] = __expf(best.value - peak) / sum;
    }
    last = best;
  }
}

template <class T>
cudaError_t run(const void* logits, std::int64_t rows, int width, int k, std::int32_t* indices,
                float* weights, cudaStream_t stream) {
  const bool is_long = width > kWarpRow;
  const std::int64_t blocks = is_long ? rows : (rows + kRowsABlock - 1) / kRowsABlock;
  if (blocks > INT_MAX) return cudaErrorInvalidValue;
  const auto grid = static_cast<unsigned>(blocks);
  const T* from = static_cast<const T*>(logits);
  if (is_long)
    rank_rows<T, kLongThreads><<<grid, kLongThreads, 0, stream>>>(from, rows, width, k, indices, weights);
  else
    rank_rows<T, 32><<<grid, 32 * kRowsABlock, 0, stream>>>(from, rows, width, k, indices, weights);
  return cudaGetLastError();
}

}  // namespace

cudaError_t top_k(Element element, const void* logits, std::int64_t rows, int width, int k,
                  std::int32_t* indices, float* weights, cudaStream_t stream) {
  if (element == Element::bf16 && native_element() != Element::bf16) return cudaErrorNotSupported;
  if (rows < 0 || width < 1 || k < 1 || k > kMaxRank || k > width) return cudaErrorInvalidValue;
  if (rows == 0) return cudaSuccess;
  return element == Element::bf16 ? run<__nv_bfloat16>(logits, rows, width, k, indices, weights, stream)
                                  : run<__half>(logits, rows, width, k, indices, weights, stream);
}

}  // namespace specmoe::cuda
