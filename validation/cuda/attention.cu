// Attention against a KV cache, online softmax throughout. Decode (one query a sequence) splits the positions
// over the device and reads keys and values once for all the heads that share them; prefill is flash attention
// on 64 x 64 tiles. Both multiply on tensor cores (wmma), 16 rows a warp.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>
#include <mma.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <type_traits>

#include "kernels.hpp"

namespace specmoe::cuda {
namespace {

namespace wmma = nvcuda::wmma;

template <class T>
using RowFragment = wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major>;
template <class T>
using KeyFragment = wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::col_major>;
template <class T>
using ValueFragment = wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::row_major>;
using SumFragment = wmma::fragment<wmma::accumulator, 16, 16, 16, float>;
constexpr int kElements = SumFragment::num_elements;

// As in grouped_gemm.cu: nothing where tensor cores lack bf16; fp16 is for Turing's 64 KB of shared memory.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <class T>
constexpr bool kCompiled = std::is_same_v<T, __half>;
#else
template <class T>
constexpr bool kCompiled = true;
#endif
template <class T>
constexpr bool kSmallShared = std::is_same_v<T, __half>;

constexpr int kPad = 8;  // elements; keeps the rows of a fragment in different banks
constexpr unsigned kAll = 0xffffffffu;

__host__ __device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

// mma.h reads bf16 fragments through generic addresses, one plain load a register; told that they are in shared
// memory, the compiler uses ldmatrix.
template <class Use, class T, class Layout>
__device__ __forceinline__ void load(wmma::fragment<Use, 16, 16, 16, T, Layout>& fragment, const T* from,
                                     unsigned stride) {
  if constexpr (std::is_same_v<T, __half>) {
    wmma::load_matrix_sync(fragment, from, stride);
  } else {
    auto* r = reinterpret_cast<unsigned*>(fragment.x);
    const auto at = static_cast<unsigned>(__cvta_generic_to_shared(from));
    if constexpr (std::is_same_v<Use, wmma::matrix_a>)
      asm volatile("wmma.load.a.sync.aligned.row.m16n16k16.shared.bf16 {%0, %1, %2, %3}, [%4], %5;"
                   : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                   : "r"(at), "r"(stride)
                   : "memory");
    else if constexpr (std::is_same_v<Layout, wmma::row_major>)
      asm volatile("wmma.load.b.sync.aligned.row.m16n16k16.shared.bf16 {%0, %1, %2, %3}, [%4], %5;"
                   : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                   : "r"(at), "r"(stride)
                   : "memory");
    else
      asm volatile("wmma.load.b.sync.aligned.col.m16n16k16.shared.bf16 {%0, %1, %2, %3}, [%4], %5;"
                   : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                   : "r"(at), "r"(stride)
                   : "memory");
  }
}

template <class T>
__device__ __forceinline__ void fetch_16_bytes(T* to, const T* from, bool exists) {
  if (exists)
    __pipeline_memcpy_async(to, from, 16);
  else
    *reinterpret_cast<uint4*>(to) = uint4{0, 0, 0, 0};
}

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

// Decode. A block takes up to 16 heads of one kv head and a range of positions, 16 a warp at a time; each warp
// has its own pipeline and softmax. Ranges meet in the workspace, where the last block to finish adds them up.
constexpr int kHeads = 16, kPositions = 16, kStages = 2, kSlab = kPositions + 8, kMaxCounters = 1024;

struct WarpScratch {
  float slab[16 * kSlab];
  float factors[16], sums[16];
};
template <class T, int kDim>
struct Decode {
  static constexpr int kWarps = kSmallShared<T> ? 2 : 4, kStride = kDim + kPad, kTile = kPositions * kStride;
  static constexpr int kQueryBytes = kHeads * kStride * 2, kWarpBytes = kStages * 2 * kTile * 2;
  static constexpr int kBytes = kQueryBytes + kWarps * (kWarpBytes + static_cast<int>(sizeof(WarpScratch)));
};

template <class T>
__device__ __forceinline__ void store_4(T* to, float4 value) {
  __align__(8) const T four[4] = {T(value.x), T(value.y), T(value.z), T(value.w)};
  *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(four);
}

__device__ __forceinline__ void add(float4& sum, float4 value, float weight) {
  sum.x += value.x * weight, sum.y += value.y * weight, sum.z += value.z * weight, sum.w += value.w * weight;
}

template <class T, int kDim>
__device__ __forceinline__ void decode(const AttentionArgs& args, int range, int ranges, float scale,
                                       unsigned char* shared) {
  using D = Decode<T, kDim>;
  constexpr int kParts = kDim / 16, kThreads = 32 * D::kWarps, kStep = D::kWarps * kPositions;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int group = args.heads / args.kv_heads, head_tiles = ceil_div(group, kHeads);
  const int part = blockIdx.x / ranges, tile = part % head_tiles, kv_head = part / head_tiles % args.kv_heads;
  const std::int64_t sequence = part / (head_tiles * args.kv_heads);
  const int heads = min(kHeads, group - tile * kHeads);
  const std::int64_t first_head = sequence * args.heads + kv_head * group + tile * kHeads;
  const int begin = blockIdx.x % ranges * range, end = min(args.kv_positions, begin + range);

  T* queries = reinterpret_cast<T*>(shared);
  T* stages = reinterpret_cast<T*>(shared + D::kQueryBytes + warp * D::kWarpBytes);
  auto* all_scratch = reinterpret_cast<WarpScratch*>(shared + D::kQueryBytes + D::kWarps * D::kWarpBytes);
  WarpScratch& scratch = all_scratch[warp];

  fetch_rows<kHeads, kDim, kThreads>(queries, static_cast<const T*>(args.q) + first_head * kDim, kDim, heads,
                                     threadIdx.x);
  __pipeline_commit();
  const std::int64_t stride = std::int64_t{args.kv_heads} * kDim;
  const std::int64_t cache = sequence * args.kv_positions * stride + kv_head * kDim;
  const auto fetch = [&](int position, int stage) {
    if (position < end) {
      T* to = stages + stage * 2 * D::kTile;
      const std::int64_t at = cache + position * stride;
      fetch_rows<kPositions, kDim, 32>(to, static_cast<const T*>(args.k) + at, stride, end - position, lane);
      fetch_rows<kPositions, kDim, 32>(to + D::kTile, static_cast<const T*>(args.v) + at, stride,
                                       end - position, lane);
    }
    __pipeline_commit();
  };
  for (int stage = 0; stage < kStages; ++stage) fetch(begin + warp * kPositions + stage * kStep, stage);

  int row[kElements];
  find_rows(scratch.slab, kSlab, row);
  __pipeline_wait_prior(kStages);
  __syncthreads();
  RowFragment<T> query[kParts];
  SumFragment out[kParts];
  for (int d = 0; d < kParts; ++d) {
    load(query[d], queries + d * 16, D::kStride);
    wmma::fill_fragment(out[d], 0.f);
  }
  RowState state;
  for (int position = begin + warp * kPositions, stage = 0; position < end; position += kStep, stage ^= 1) {
    __pipeline_wait_prior(kStages - 1);
    __syncwarp();
    const T* keys = stages + stage * 2 * D::kTile;
    SumFragment score;
    wmma::fill_fragment(score, 0.f);
#pragma unroll
    for (int d = 0; d < kParts; ++d) {
      KeyFragment<T> key;
      load(key, keys + d * 16, D::kStride);
      wmma::mma_sync(score, query[d], key, score);
    }
    wmma::store_matrix_sync(scratch.slab, score, kSlab, wmma::mem_row_major);
    __syncwarp();
    const float factor = soften<T, kPositions>(scratch.slab, end - position, scale, state);
    scale_rows(out, row, scratch.factors, factor);
    RowFragment<T> weight;
    load(weight, reinterpret_cast<const T*>(scratch.slab), kSlab);
#pragma unroll
    for (int d = 0; d < kParts; ++d) {
      ValueFragment<T> value;
      load(value, keys + D::kTile + d * 16, D::kStride);
      wmma::mma_sync(out[d], weight, value, out[d]);
    }
    __syncwarp();
    fetch(position + kStages * kStep, stage);
  }

  constexpr int kOutStride = kDim + 4, kQuads = kDim / 4;
  for (int d = 0; d < kParts; ++d)
    wmma::store_matrix_sync(reinterpret_cast<float*>(stages) + d * 16, out[d], kOutStride,
                            wmma::mem_row_major);
  if (lane % 2 == 0) scratch.factors[lane / 2] = state.peak, scratch.sums[lane / 2] = state.sum;
  __syncthreads();
  // The workspace: counters, then for each block of the grid [head, kDim] sums and [head, 2] peak and sum.
  constexpr int kPartial = kHeads * (kDim + 2);
  int* counter = static_cast<int*>(args.workspace) + part;
  float* partials = static_cast<float*>(args.workspace) + kMaxCounters;
  float* partial = partials + std::int64_t{blockIdx.x} * kPartial;
  T* result = static_cast<T*>(args.out) + first_head * kDim;
  for (int i = threadIdx.x; i < heads * kQuads; i += kThreads) {
    const int head = i / kQuads, d = i % kQuads * 4;
    float peak = -INFINITY, sum = 0;
    for (int w = 0; w < D::kWarps; ++w) peak = fmaxf(peak, all_scratch[w].factors[head]);
    float4 total{0, 0, 0, 0};
    for (int w = 0; w < D::kWarps; ++w) {
      const auto* sums = reinterpret_cast<const float*>(shared + D::kQueryBytes + w * D::kWarpBytes);
      const float weight = exp2f(all_scratch[w].factors[head] - peak);
      sum += all_scratch[w].sums[head] * weight;
      add(total, *reinterpret_cast<const float4*>(sums + head * kOutStride + d), weight);
    }
    if (ranges > 1) {
      *reinterpret_cast<float4*>(partial + head * kDim + d) = total;
      if (d == 0) *reinterpret_cast<float2*>(partial + kHeads * kDim + head * 2) = float2{peak, sum};
    } else {
      const float scaled = 1 / sum;
      store_4(result + i * 4, float4{total.x * scaled, total.y * scaled, total.z * scaled, total.w * scaled});
    }
  }
  if (ranges == 1) return;

  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(counter, 1) == ranges - 1;
  __syncthreads();
  if (!last) return;
  if (threadIdx.x == 0) *counter = 0;
  __threadfence();
  partials += std::int64_t{part} * ranges * kPartial;
  for (int i = threadIdx.x; i < heads * kQuads; i += kThreads) {
    const int head = i / kQuads, d = i % kQuads * 4;
    float peak = -INFINITY, sum = 0;
    float4 total{0, 0, 0, 0};
#pragma unroll 4
    for (int r = 0; r < ranges; ++r) {
      const float* from = partials + r * kPartial;
      // Past L1, which may hold what an earlier launch left here.
      const float2 stats = __ldcg(reinterpret_cast<const float2*>(from + kHeads * kDim + head * 2));
      const float4 value = __ldcg(reinterpret_cast<const float4*>(from + head * kDim + d));
      const float top = fmaxf(peak, stats.x), keep = exp2f(peak - top), weight = exp2f(stats.x - top);
      total = {total.x * keep, total.y * keep, total.z * keep, total.w * keep};
      add(total, value, weight);
      sum = sum * keep + stats.y * weight;
      peak = top;
    }
    const float scaled = 1 / sum;
    store_4(result + i * 4, float4{total.x * scaled, total.y * scaled, total.z * scaled, total.w * scaled});
  }
}

// Prefill. A block takes 64 queries of a head and walks over 64 keys and values at a time.
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
  RowFragment<T> query[kParts];
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
        KeyFragment<T> key;
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
      RowFragment<T> weight;
      load(weight, reinterpret_cast<const T*>(slab) + c * 16, kTileSlab);
#pragma unroll
      for (int d = 0; d < kParts; ++d) {
        ValueFragment<T> value;
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
__global__ void __launch_bounds__(32 * Decode<T, kDim>::kWarps)
    decode_attention(const __grid_constant__ AttentionArgs args, int range, int ranges, float scale) {
  extern __shared__ __align__(128) unsigned char shared[];
  if constexpr (kCompiled<T>) decode<T, kDim>(args, range, ranges, scale, shared);
}

template <class T, int kDim>
__global__ void __launch_bounds__(128, kSmallShared<T> ? 1 : 3)
    prefill_attention(const __grid_constant__ AttentionArgs args, float scale) {
  extern __shared__ __align__(128) unsigned char shared[];
  if constexpr (kCompiled<T>) prefill<T, kDim>(args, scale, shared);
}

// Blocks that fill the device once, two a multiprocessor; fewer when a block would get under 128 positions.
int ranges_wanted(int parts) { return std::max(1, std::min(2 * multiprocessors() / parts, 64)); }

template <class T, int kDim>
cudaError_t run(const AttentionArgs& args, cudaStream_t stream) {
  static std::atomic<std::uint64_t> decode_done{0}, prefill_done{0};
  const float scale =
      1.44269504f / std::sqrt(static_cast<float>(kDim));  // log2(e): weights are powers of two
  if (args.queries > 1) {
    const auto kernel = prefill_attention<T, kDim>;
    const cudaError_t status =
        allow_shared(reinterpret_cast<const void*>(kernel), Prefill<kDim>::kBytes, prefill_done);
    if (status != cudaSuccess) return status;
    const dim3 grid(ceil_div(args.queries, kTile), args.heads, args.sequences);
    kernel<<<grid, 128, Prefill<kDim>::kBytes, stream>>>(args, scale);
    return cudaGetLastError();
  }
  using D = Decode<T, kDim>;
  const std::int64_t parts =
      std::int64_t{args.sequences} * args.kv_heads * ceil_div(args.heads / args.kv_heads, kHeads);
  if (parts > INT_MAX / 64) return cudaErrorInvalidValue;
  int ranges = std::min(ranges_wanted(static_cast<int>(parts)), ceil_div(args.kv_positions, 128));
  const int range = ceil_div(ceil_div(args.kv_positions, ranges), kPositions) * kPositions;
  ranges = ceil_div(args.kv_positions, range);  // none is empty
  if (ranges > 1 && (args.workspace == nullptr || parts > kMaxCounters)) return cudaErrorInvalidValue;
  const auto kernel = decode_attention<T, kDim>;
  const cudaError_t status = allow_shared(reinterpret_cast<const void*>(kernel), D::kBytes, decode_done);
  if (status != cudaSuccess) return status;
  kernel<<<static_cast<unsigned>(parts * ranges), 32 * D::kWarps, D::kBytes, stream>>>(args, range, ranges,
                                                                                       scale);
  return cudaGetLastError();
}

}  // namespace

// Only grids of at most two blocks a multiprocessor split their positions.
std::size_t attention_workspace_bytes() {
  return (kMaxCounters + std::size_t{2} * multiprocessors() * kHeads * (128 + 2)) * sizeof(float);
}

cudaError_t attention(Element element, const AttentionArgs& args, cudaStream_t stream) {
  if (element == Element::bf16 && native_element() != Element::bf16) return cudaErrorNotSupported;
  if (args.sequences < 1 || args.sequences > 65535 || args.queries < 1 || args.kv_positions < args.queries ||
      args.kv_heads < 1 || args.heads < 1 || args.heads > 65535 || args.heads % args.kv_heads != 0)
    return cudaErrorInvalidValue;
  if (args.head_dim == 64)
    return element == Element::bf16 ? run<__nv_bfloat16, 64>(args, stream) : run<__half, 64>(args, stream);
  if (args.head_dim == 128)
    return element == Element::bf16 ? run<__nv_bfloat16, 128>(args, stream) : run<__half, 128>(args, stream);
  return cudaErrorInvalidValue;
}

}  // namespace specmoe::cuda
