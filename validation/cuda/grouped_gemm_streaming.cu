// The grouped matrix product of a few rows a group, bound by memory: weights stream past.
#include "grouped_gemm.cuh"

namespace specmoe::cuda {
namespace {

// 16 rows x kColumns a block. Its four warps share out the depth (k), each with a pipeline of its own, so that
// nothing but the last sum needs the whole block and 12 to 36 KB of weights are in flight a block.
template <class T>
struct Streaming {
  static constexpr int kRows = 16, kDepth = 64, kStride = kDepth + kPad, kWarps = 4;
  static constexpr int kStages = kSmallShared<T> ? 2 : 3;
  static constexpr int warp_bytes(int columns) { return kStages * (kRows + columns) * kStride * 2; }
};

template <class T, int kColumns>
__device__ __forceinline__ void stream_weights(const Launch& launch, unsigned char* shared) {
  using S = Streaming<T>;
  constexpr int kStage = (S::kRows + kColumns) * S::kStride, kWarpBytes = S::kStages * kStage * 2;
  const Tile tile = find_tile<S::kRows, kColumns>(launch);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, n = launch.args.n, k = launch.args.k;
  T* stages = reinterpret_cast<T*>(shared + warp * kWarpBytes);

  // A lane fetches 16 of the 128 bytes of rows lane / 8, lane / 8 + 4, ...
  const int row = lane / 8, depth = lane % 8 * 8;
  const T* in = static_cast<const T*>(launch.args.in) + (std::int64_t{tile.first_row} + row) * k + depth;
  const T* weights =
      static_cast<const T*>(tile.weights) + (std::int64_t{tile.first_column} + row) * k + depth;
  const int chunks = ceil_div(k, S::kDepth);
  const auto fetch = [&](int chunk, int stage) {
    if (chunk < chunks) {
      const int at = chunk * S::kDepth;
      const bool exists = at + depth < k;
      T* to = stages + stage * kStage + row * S::kStride + depth;
#pragma unroll
      for (int r = 0; r < kColumns; r += 4)
        fetch_16_bytes(to + (S::kRows + r) * S::kStride, weights + std::int64_t{r} * k + at,
                       exists && tile.first_column + row + r < n);
#pragma unroll
      for (int r = 0; r < S::kRows; r += 4)
        if (row + r < tile.rows) fetch_16_bytes(to + r * S::kStride, in + std::int64_t{r} * k + at, exists);
    }
    __pipeline_commit();
  };

  // Rows that do not exist are never fetched: with one row the inputs cost 1/32 of the weights.
  for (int stage = 0; stage < S::kStages; ++stage)
    for (int r = row; r < S::kRows; r += 4)
      if (r >= tile.rows) fetch_16_bytes(stages + stage * kStage + r * S::kStride + depth, in, false);
  for (int stage = 0; stage < S::kStages; ++stage) fetch(warp + stage * S::kWarps, stage);

  SumFragment sum[kColumns / 16];
  for (auto& part : sum) wmma::fill_fragment(part, 0.f);
  for (int chunk = warp, stage = 0; chunk < chunks; chunk += S::kWarps) {
    __pipeline_wait_prior(S::kStages - 1);
    __syncwarp();
    const T* staged = stages + stage * kStage;
#pragma unroll
    for (int d = 0; d < S::kDepth; d += 16) {
      LeftFragment<T> a;
      load(a, staged + d, S::kStride);
#pragma unroll
      for (int c = 0; c < kColumns / 16; ++c) {
        TransposedFragment<T> b;
        load(b, staged + (S::kRows + c * 16) * S::kStride + d, S::kStride);
        wmma::mma_sync(sum[c], a, b, sum[c]);
      }
    }
    __syncwarp();
    fetch(chunk + S::kStages * S::kWarps, stage);
    stage = stage + 1 == S::kStages ? 0 : stage + 1;
  }

  constexpr int kSumStride = kColumns + 4;
  float* sums = reinterpret_cast<float*>(stages);
  for (int c = 0; c < kColumns / 16; ++c)
    wmma::store_matrix_sync(sums + c * 16, sum[c], kSumStride, wmma::mem_row_major);
  __syncthreads();
  const int out_row = threadIdx.x / (kColumns / 8), column = threadIdx.x % (kColumns / 8) * 8;
  if (out_row < min(tile.rows, S::kRows)) {
    float value[8] = {};
    for (int w = 0; w < S::kWarps; ++w)
      for (int e = 0; e < 8; ++e)
        value[e] += reinterpret_cast<float*>(shared + w * kWarpBytes)[out_row * kSumStride + column + e];
    T* out = static_cast<T*>(launch.args.out) + (std::int64_t{tile.first_row} + out_row) * n;
    store_8(out + tile.first_column + column, value, n - tile.first_column - column, n % 8 == 0);
  }
}

template <class T, int kColumns>
__global__ void __launch_bounds__(128) streaming_gemm(const __grid_constant__ Launch launch) {
  extern __shared__ __align__(128) unsigned char shared[];
  if constexpr (kCompiled<T>) stream_weights<T, kColumns>(launch, shared);
}

}  // namespace

template <class T, int kColumns>
cudaError_t launch_streaming(const Launch& launch, std::int64_t tiles, cudaStream_t stream) {
  static std::atomic<std::uint64_t> done{0};
  constexpr int kBytes = Streaming<T>::kWarps * Streaming<T>::warp_bytes(kColumns);
  const auto kernel = streaming_gemm<T, kColumns>;
  const cudaError_t status = allow_shared(reinterpret_cast<const void*>(kernel), kBytes, done);
  if (status != cudaSuccess) return status;
  kernel<<<static_cast<unsigned>(tiles), 32 * Streaming<T>::kWarps, kBytes, stream>>>(launch);
  return cudaGetLastError();
}
template cudaError_t launch_streaming<__nv_bfloat16, 16>(const Launch&, std::int64_t, cudaStream_t);
template cudaError_t launch_streaming<__nv_bfloat16, 32>(const Launch&, std::int64_t, cudaStream_t);
template cudaError_t launch_streaming<__half, 16>(const Launch&, std::int64_t, cudaStream_t);
template cudaError_t launch_streaming<__half, 32>(const Launch&, std::int64_t, cudaStream_t);

}  // namespace specmoe::cuda
