// The grouped matrix product of many rows a group, bound by arithmetic: a block reuses tiles of both factors.
#include "grouped_gemm.cuh"

namespace specmoe::cuda {
namespace {

template <class B>
__device__ __forceinline__ void multiply_blocks(const Launch& launch, unsigned char* shared) {
  using T = typename B::Element;
  constexpr int kRowParts = B::kRows / B::kRowWarps / 16, kColumnParts = B::kColumns / B::kColumnWarps / 16;
  const Tile tile = find_tile<B::kRows, B::kColumns>(launch);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, n = launch.args.n, k = launch.args.k;
  T* stages = reinterpret_cast<T*>(shared);

  constexpr int kLanesARow = B::kDepth / 8, kRowsAPass = B::kThreads / kLanesARow;
  static_assert(B::kRows % kRowsAPass == 0 && B::kColumns % kRowsAPass == 0, "a pass fetches whole rows");
  const int row = threadIdx.x / kLanesARow, depth = threadIdx.x % kLanesARow * 8;
  const T* in = static_cast<const T*>(launch.args.in) + (std::int64_t{tile.first_row} + row) * k + depth;
  const T* weights =
      static_cast<const T*>(tile.weights) + (std::int64_t{tile.first_column} + row) * k + depth;
  const int chunks = ceil_div(k, B::kDepth);
  const auto fetch = [&](int chunk, int stage) {
    if (chunk < chunks) {
      const int at = chunk * B::kDepth;
      const bool exists = at + depth < k;
      T* to = stages + stage * B::kStage + row * B::kStride + depth;
#pragma unroll
      for (int r = 0; r < B::kRows; r += kRowsAPass)
        fetch_16_bytes(to + r * B::kStride, in + std::int64_t{r} * k + at, exists && row + r < tile.rows);
#pragma unroll
      for (int r = 0; r < B::kColumns; r += kRowsAPass)
        fetch_16_bytes(to + (B::kRows + r) * B::kStride, weights + std::int64_t{r} * k + at,
                       exists && tile.first_column + row + r < n);
    }
    __pipeline_commit();
  };
  for (int stage = 0; stage < B::kStages - 1; ++stage) fetch(stage, stage);

  const int warp_row = warp / B::kColumnWarps * kRowParts * 16;
  const int warp_column = warp % B::kColumnWarps * kColumnParts * 16;
  SumFragment sum[kRowParts][kColumnParts];
  for (auto& parts : sum)
    for (auto& part : parts) wmma::fill_fragment(part, 0.f);
  for (int chunk = 0, stage = 0; chunk < chunks; ++chunk) {
    __pipeline_wait_prior(B::kStages - 2);
    __syncthreads();  // the chunk is here for all, and all are done with the stage that is fetched next
    fetch(chunk + B::kStages - 1, stage == 0 ? B::kStages - 1 : stage - 1);
    const T* staged = stages + stage * B::kStage;
#pragma unroll
    for (int d = 0; d < B::kDepth; d += 16) {
      TransposedFragment<T> b[kColumnParts];
#pragma unroll
      for (int c = 0; c < kColumnParts; ++c)
        load(b[c], staged + (B::kRows + warp_column + c * 16) * B::kStride + d, B::kStride);
#pragma unroll
      for (int r = 0; r < kRowParts; ++r) {
        LeftFragment<T> a;
        load(a, staged + (warp_row + r * 16) * B::kStride + d, B::kStride);
#pragma unroll
        for (int c = 0; c < kColumnParts; ++c) wmma::mma_sync(sum[r][c], a, b[c], sum[r][c]);
      }
    }
    stage = stage + 1 == B::kStages ? 0 : stage + 1;
  }

  // Sums reach memory through 16 rows of shared memory a warp, where their layout is known.
  constexpr int kVectors = kColumnParts * 2, kSumStride = kColumnParts * 16 + 4;
  __syncthreads();
  float* sums = reinterpret_cast<float*>(shared) + warp * 16 * kSumStride;
#pragma unroll
  for (int r = 0; r < kRowParts; ++r) {
    for (int c = 0; c < kColumnParts; ++c)
      wmma::store_matrix_sync(sums + c * 16, sum[r][c], kSumStride, wmma::mem_row_major);
    __syncwarp();
    for (int v = lane; v < 16 * kVectors; v += 32) {
      const int out_row = warp_row + r * 16 + v / kVectors, column = warp_column + v % kVectors * 8;
      if (out_row >= tile.rows) continue;
      float value[8];
      for (int e = 0; e < 8; ++e) value[e] = sums[v / kVectors * kSumStride + v % kVectors * 8 + e];
      T* out = static_cast<T*>(launch.args.out) + (std::int64_t{tile.first_row} + out_row) * n;
      store_8(out + tile.first_column + column, value, n - tile.first_column - column, n % 8 == 0);
    }
    __syncwarp();
  }
}

template <class B>
__global__ void __launch_bounds__(B::kThreads, B::kBlocks)
    blocked_gemm(const __grid_constant__ Launch launch) {
  extern __shared__ __align__(128) unsigned char shared[];
  if constexpr (kCompiled<typename B::Element>) multiply_blocks<B>(launch, shared);
}

}  // namespace

template <class B>
cudaError_t launch_blocked(const Launch& launch, std::int64_t tiles, cudaStream_t stream) {
  static std::atomic<std::uint64_t> done{0};
  const auto kernel = blocked_gemm<B>;
  const cudaError_t status = allow_shared(reinterpret_cast<const void*>(kernel), B::kBytes, done);
  if (status != cudaSuccess) return status;
  kernel<<<static_cast<unsigned>(tiles), B::kThreads, B::kBytes, stream>>>(launch);
  return cudaGetLastError();
}
template cudaError_t launch_blocked<Wide<__nv_bfloat16>>(const Launch&, std::int64_t, cudaStream_t);
template cudaError_t launch_blocked<Middle<__nv_bfloat16>>(const Launch&, std::int64_t, cudaStream_t);
template cudaError_t launch_blocked<Narrow<__nv_bfloat16>>(const Launch&, std::int64_t, cudaStream_t);
template cudaError_t launch_blocked<Wide<__half>>(const Launch&, std::int64_t, cudaStream_t);
template cudaError_t launch_blocked<Middle<__half>>(const Launch&, std::int64_t, cudaStream_t);
template cudaError_t launch_blocked<Narrow<__half>>(const Launch&, std::int64_t, cudaStream_t);

}  // namespace specmoe::cuda
