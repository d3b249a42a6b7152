// Prefill attention: many queries a sequence, flash attention on 64 x 64 tiles.
#include <algorithm>

#include "attention.cuh"

namespace specmoe::cuda {
namespace {

// A block takes 64 queries of a head and walks over 64 keys and values at a time.
constexpr int kTile = 64, kTileSlab = kTile + 8;

template <int kDim>
struct Prefill {
  static constexpr int kStride = kDim + kPad, kTileBytes = kTile * kStride * 2;
  static constexpr int kWarpSlab = 16 * kTileSlab;  // floats
  // The queries' place becomes the scores' when the queries are in registers.
  static constexpr int kSlabBytes = std::max(kTileBytes, 4 * kWarpSlab * 4);
  static constexpr int kBytes = kSlabBytes + 2 * kTileBytes + 4 * 16 * 4;
};

template <class T, int kDim>
__device__ __forceinline__ void prefill(const AttentionArgs& args, float scale, unsigned char* shared) {
  using P = Prefill<kDim>;
  constexpr int kParts = kDim / 16, kThreads = 128;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, head = blockIdx.y;
  const std::int64_t sequence = blockIdx.z;
  // Causal tiles grow with the queries: the longest start first.
  const int first = (gridDim.x - 1 - blockIdx.x) * kTile, queries = min(kTile, args.queries - first);
  const int before = args.kv_positions - args.queries;
  const int end = args.causal ? before + first + queries : args.kv_positions;
  const int visible =
      args.causal ? min(before + first + warp * 16 + lane / 2 + 1, args.kv_positions) : args.kv_positions;

  float* slab = reinterpret_cast<float*>(shared) + warp * P::kWarpSlab;
  T* keys = reinterpret_cast<T*>(shared + P::kSlabBytes);
  T* values = keys + kTile * P::kStride;
  float* factors = reinterpret_cast<float*>(shared + P::kSlabBytes + 2 * P::kTileBytes) + warp * 16;

  const std::int64_t row_stride = std::int64_t{args.heads} * kDim;
  const std::int64_t first_query = (sequence * args.queries + first) * row_stride + head * kDim;
  fetch_rows<kTile, kDim, kThreads>(reinterpret_cast<T*>(shared), static_cast<const T*>(args.q) + first_query,
                                    row_stride, queries, threadIdx.x);
  const std::int64_t stride = std::int64_t{args.kv_heads} * kDim;
  const std::int64_t cache =
      sequence * args.kv_positions * stride + head / (args.heads / args.kv_heads) * kDim;
  const auto fetch = [&](T* to, const void* from, int position) {
    if (position < end)
      fetch_rows<kTile, kDim, kThreads>(to, static_cast<const T*>(from) + cache + position * stride, stride,
                                        end - position, threadIdx.x);
    __pipeline_commit();
  };
  fetch(keys, args.k, 0);
  __pipeline_wait_prior(0);
  __syncthreads();
  LeftFragment<T> query[kParts];
  SumFragment out[kParts];
  for (int d = 0; d < kParts; ++d) {
    load(query[d], reinterpret_cast<const T*>(shared) + warp * 16 * P::kStride + d * 16, P::kStride);
    wmma::fill_fragment(out[d], 0.f);
  }
  __syncthreads();
  int row[kElements];
  find_rows(slab, kTileSlab, row);
  RowState state;
  for (int position = 0; position < end; position += kTile) {
    __pipeline_wait_prior(0);
    __syncthreads();  // the keys are here; all are done with the values
    fetch(values, args.v, position);
#pragma unroll
    for (int c = 0; c < kTile / 16; ++c) {
      SumFragment score;
      wmma::fill_fragment(score, 0.f);
#pragma unroll
      for (int d = 0; d < kParts; ++d) {
        TransposedFragment<T> key;
        load(key, keys + c * 16 * P::kStride + d * 16, P::kStride);
        wmma::mma_sync(score, query[d], key, score);
      }
      wmma::store_matrix_sync(slab + c * 16, score, kTileSlab, wmma::mem_row_major);
    }
    __syncthreads();  // all are done with the keys
    fetch(keys, args.k, position + kTile);
    const float factor = soften<T, kTile>(slab, visible - position, scale, state);
    scale_rows(out, row, factors, factor);
    __pipeline_wait_prior(1);
    __syncthreads();  // the values are here
#pragma unroll
    for (int c = 0; c < kTile / 16; ++c) {
      LeftFragment<T> weight;
      load(weight, reinterpret_cast<const T*>(slab) + c * 16, kTileSlab);
#pragma unroll
      for (int d = 0; d < kParts; ++d) {
        RightFragment<T> value;
        load(value, values + c * 16 * P::kStride + d * 16, P::kStride);
        wmma::mma_sync(out[d], weight, value, out[d]);
      }
    }
  }

  scale_rows(out, row, factors, 1 / state.sum);
  for (int half = 0; half < kDim; half += kTile) {
    __syncwarp();
    for (int d = 0; d < kTile / 16; ++d)
      wmma::store_matrix_sync(slab + d * 16, out[half / 16 + d], kTileSlab, wmma::mem_row_major);
    __syncwarp();
    for (int i = lane; i < 16 * kTile / 4; i += 32) {
      const int r = i / (kTile / 4), d = i % (kTile / 4) * 4;
      if (warp * 16 + r < queries)
        store_4(static_cast<T*>(args.out) + first_query + (warp * 16 + r) * row_stride + half + d,
                *reinterpret_cast<const float4*>(slab + r * kTileSlab + d));
    }
  }
}

template <class T, int kDim>
__global__ void __launch_bounds__(128, kSmallShared<T> ? 1 : 3)
    prefill_attention(const __grid_constant__ AttentionArgs args, float scale) {
  extern __shared__ __align__(128) unsigned char shared[];
  if constexpr (kCompiled<T>) prefill<T, kDim>(args, scale, shared);
}

}  // namespace

template <class T, int kDim>
cudaError_t launch_prefill(const AttentionArgs& args, cudaStream_t stream) {
  static std::atomic<std::uint64_t> done{0};
  const auto kernel = prefill_attention<T, kDim>;
  const cudaError_t status = allow_shared(reinterpret_cast<const void*>(kernel), Prefill<kDim>::kBytes, done);
  if (status != cudaSuccess) return status;
  const dim3 grid(ceil_div(args.queries, kTile), args.heads, args.sequences);
  kernel<<<grid, 128, Prefill<kDim>::kBytes, stream>>>(args, score_scale(kDim));
  return cudaGetLastError();
}
template cudaError_t launch_prefill<__nv_bfloat16, 64>(const AttentionArgs&, cudaStream_t);
template cudaError_t launch_prefill<__nv_bfloat16, 128>(const AttentionArgs&, cudaStream_t);
template cudaError_t launch_prefill<__half, 64>(const AttentionArgs&, cudaStream_t);
template cudaError_t launch_prefill<__half, 128>(const AttentionArgs&, cudaStream_t);

}  // namespace specmoe::cuda
