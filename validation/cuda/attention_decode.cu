// Decode attention: one query a sequence. The positions are split over the device; keys and values are read once
// for all the heads that share them.
#include <algorithm>
#include <climits>

#include "attention.cuh"

namespace specmoe::cuda {
namespace {

// A block takes up to 16 heads of one kv head and a range of positions, 16 a warp at a time; each warp
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
  LeftFragment<T> query[kParts];
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
      TransposedFragment<T> key;
      load(key, keys + d * 16, D::kStride);
      wmma::mma_sync(score, query[d], key, score);
    }
    wmma::store_matrix_sync(scratch.slab, score, kSlab, wmma::mem_row_major);
    __syncwarp();
    const float factor = soften<T, kPositions>(scratch.slab, end - position, scale, state);
    scale_rows(out, row, scratch.factors, factor);
    LeftFragment<T> weight;
    load(weight, reinterpret_cast<const T*>(scratch.slab), kSlab);
#pragma unroll
    for (int d = 0; d < kParts; ++d) {
      RightFragment<T> value;
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

template <class T, int kDim>
__global__ void __launch_bounds__(32 * Decode<T, kDim>::kWarps)
    decode_attention(const __grid_constant__ AttentionArgs args, int range, int ranges, float scale) {
  extern __shared__ __align__(128) unsigned char shared[];
  if constexpr (kCompiled<T>) decode<T, kDim>(args, range, ranges, scale, shared);
}

// Blocks that fill the device once, two a multiprocessor; fewer when a block would get under 128 positions.
int ranges_wanted(int parts) { return std::max(1, std::min(2 * multiprocessors() / parts, 64)); }

}  // namespace

template <class T, int kDim>
cudaError_t launch_decode(const AttentionArgs& args, cudaStream_t stream) {
  static std::atomic<std::uint64_t> done{0};
  using D = Decode<T, kDim>;
  const std::int64_t parts =
      std::int64_t{args.sequences} * args.kv_heads * ceil_div(args.heads / args.kv_heads, kHeads);
  if (parts > INT_MAX / 64) return cudaErrorInvalidValue;
  int ranges = std::min(ranges_wanted(static_cast<int>(parts)), ceil_div(args.kv_positions, 128));
  const int range = ceil_div(ceil_div(args.kv_positions, ranges), kPositions) * kPositions;
  ranges = ceil_div(args.kv_positions, range);  // none is empty
  if (ranges > 1 && (args.workspace == nullptr || parts > kMaxCounters)) return cudaErrorInvalidValue;
  const auto kernel = decode_attention<T, kDim>;
  const cudaError_t status = allow_shared(reinterpret_cast<const void*>(kernel), D::kBytes, done);
  if (status != cudaSuccess) return status;
  kernel<<<static_cast<unsigned>(parts * ranges), 32 * D::kWarps, D::kBytes, stream>>>(args, range, ranges,
                                                                                       score_scale(kDim));
  return cudaGetLastError();
}
template cudaError_t launch_decode<__nv_bfloat16, 64>(const AttentionArgs&, cudaStream_t);
template cudaError_t launch_decode<__nv_bfloat16, 128>(const AttentionArgs&, cudaStream_t);
template cudaError_t launch_decode<__half, 64>(const AttentionArgs&, cudaStream_t);
template cudaError_t launch_decode<__half, 128>(const AttentionArgs&, cudaStream_t);

// Only grids of at most two blocks a multiprocessor split their positions.
std::size_t attention_workspace_bytes() {
  return (kMaxCounters + std::size_t{2} * multiprocessors() * kHeads * (128 + 2)) * sizeof(float);
}

}  // namespace specmoe::cuda
