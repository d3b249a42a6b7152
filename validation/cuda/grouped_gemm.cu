// Grouped matrix products on tensor cores (wmma). Two kernels, chosen by the mean rows a group: one streams
// weights for a few rows (decode, bound by memory), one reuses tiles of many rows (prefill, bound by
// arithmetic). Neither is as fast as cuBLAS at its best; both are what a plain engine would run.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>
#include <mma.h>

#include <climits>
#include <type_traits>

#include "kernels.hpp"

namespace specmoe::cuda {
namespace {

namespace wmma = nvcuda::wmma;

template <class T>
using InputFragment = wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major>;
template <class T>
using WeightFragment = wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::col_major>;
using SumFragment = wmma::fragment<wmma::accumulator, 16, 16, 16, float>;

// Bodies that tensor cores cannot run (bf16 before 8.0) are left empty; grouped_gemm() does not launch them.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <class T>
constexpr bool kCompiled = std::is_same_v<T, __half>;
#else
template <class T>
constexpr bool kCompiled = true;
#endif
// fp16 is for Turing, which has 64 KB of shared memory a multiprocessor.
template <class T>
constexpr bool kSmallShared = std::is_same_v<T, __half>;

// 16 bytes more than a power of two: the rows that a fragment load touches lie in different banks.
constexpr int kPad = 8;

__host__ __device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

struct Launch {
  GroupedGemmArgs args;
  int first_tile[kMaxGroups + 1];
};

struct Tile {
  const void* weights;
  int first_row, rows, first_column;  // rows: of the group, from first_row on
};

// Blocks run through the groups, in a group through bands of row tiles, in a band through the columns: the
// row tiles that share a tile of weights run together, and so do the columns that share a band's inputs.
template <int kRows, int kColumns>
__device__ __forceinline__ Tile find_tile(const Launch& launch) {
  constexpr int kBand = 16;
  int index = blockIdx.x, group = 0, end = launch.args.groups;
  while (end - group > 1) {
    const int middle = (group + end) / 2;
    (launch.first_tile[middle] <= index ? group : end) = middle;
  }
  index -= launch.first_tile[group];
  const int begin = launch.args.offsets[group], rows = launch.args.offsets[group + 1] - begin;
  const int band_tiles = kBand * ceil_div(launch.args.n, kColumns);
  const int first = index / band_tiles * kBand, height = min(kBand, ceil_div(rows, kRows) - first);
  index %= band_tiles;
  const int row = (first + index % height) * kRows;
  return {launch.args.weights[group], begin + row, rows - row, index / height * kColumns};
}

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

// Eight neighbouring results of a row, of which `left` exist.
template <class T>
__device__ __forceinline__ void store_8(T* to, const float (&value)[8], int left, bool aligned) {
  if (left >= 8 && aligned) {
    __align__(16) T rounded[8];
    for (int e = 0; e < 8; ++e) rounded[e] = T(value[e]);
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(rounded);
  } else {
    for (int e = 0; e < 8; ++e)
      if (e < left) to[e] = T(value[e]);
  }
}

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
      InputFragment<T> a;
      load(a, staged + d, S::kStride);
#pragma unroll
      for (int c = 0; c < kColumns / 16; ++c) {
        WeightFragment<T> b;
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

// kRows x kColumns a block, tiled over kRowWarps x kColumnWarps warps; the block advances kDepth at a time.
template <class T, int kRows_, int kColumns_, int kDepth_, int kRowWarps_, int kColumnWarps_, int kBlocks_>
struct Blocked {
  using Element = T;
  static constexpr int kRows = kRows_, kColumns = kColumns_, kDepth = kDepth_, kStride = kDepth + kPad;
  static constexpr int kRowWarps = kRowWarps_, kColumnWarps = kColumnWarps_;
  static constexpr int kThreads = 32 * kRowWarps * kColumnWarps;
  static constexpr int kBlocks = kSmallShared<T> ? 1 : kBlocks_;  // at least so many a multiprocessor
  static constexpr int kStages = kSmallShared<T> ? 3 : 4;
  static constexpr int kStage = (kRows + kColumns) * kStride, kBytes = kStages * kStage * 2;
};

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
      WeightFragment<T> b[kColumnParts];
#pragma unroll
      for (int c = 0; c < kColumnParts; ++c)
        load(b[c], staged + (B::kRows + warp_column + c * 16) * B::kStride + d, B::kStride);
#pragma unroll
      for (int r = 0; r < kRowParts; ++r) {
        InputFragment<T> a;
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

template <class T, int kColumns>
__global__ void __launch_bounds__(128) streaming_gemm(const __grid_constant__ Launch launch) {
  extern __shared__ __align__(128) unsigned char shared[];
  if constexpr (kCompiled<T>) stream_weights<T, kColumns>(launch, shared);
}

template <class B>
__global__ void __launch_bounds__(B::kThreads, B::kBlocks)
    blocked_gemm(const __grid_constant__ Launch launch) {
  extern __shared__ __align__(128) unsigned char shared[];
  if constexpr (kCompiled<typename B::Element>) multiply_blocks<B>(launch, shared);
}

// Fills first_tile; returns the number of tiles, which is the grid.
std::int64_t lay_out(Launch& launch, int rows, int columns) {
  std::int64_t tiles = 0;
  for (int g = 0; g < launch.args.groups; ++g) {
    launch.first_tile[g] = static_cast<int>(tiles);
    const int group_rows = launch.args.offsets[g + 1] - launch.args.offsets[g];
    tiles += std::int64_t{ceil_div(group_rows, rows)} * ceil_div(launch.args.n, columns);
  }
  return tiles;
}

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

template <class B>
cudaError_t launch_blocked(const Launch& launch, std::int64_t tiles, cudaStream_t stream) {
  static std::atomic<std::uint64_t> done{0};
  const auto kernel = blocked_gemm<B>;
  const cudaError_t status = allow_shared(reinterpret_cast<const void*>(kernel), B::kBytes, done);
  if (status != cudaSuccess) return status;
  kernel<<<static_cast<unsigned>(tiles), B::kThreads, B::kBytes, stream>>>(launch);
  return cudaGetLastError();
}

template <class T>
cudaError_t run(Launch& launch, int mean_rows, cudaStream_t stream) {
  using Wide = Blocked<T, 128, 128, 32, 2, 4, 2>;
  using Middle = Blocked<T, 64, 64, 64, 2, 2, 3>;
  using Narrow = Blocked<T, 64, 32, 64, 2, 2, 4>;
  // Smaller tiles read more, but only tiles on every multiprocessor read at full bandwidth.
  const int enough = multiprocessors();
  if (mean_rows <= 16) {
    std::int64_t tiles = lay_out(launch, 16, 32);
    if (tiles >= enough) return launch_streaming<T, 32>(launch, tiles, stream);
    return launch_streaming<T, 16>(launch, lay_out(launch, 16, 16), stream);
  }
  std::int64_t tiles = lay_out(launch, 128, 128);
  if (mean_rows > 64 && tiles >= enough) return launch_blocked<Wide>(launch, tiles, stream);
  tiles = lay_out(launch, 64, 64);
  if (tiles >= enough) return launch_blocked<Middle>(launch, tiles, stream);
  return launch_blocked<Narrow>(launch, lay_out(launch, 64, 32), stream);
}

}  // namespace

cudaError_t grouped_gemm(Element element, const GroupedGemmArgs& args, cudaStream_t stream) {
  if (element == Element::bf16 && native_element() != Element::bf16) return cudaErrorNotSupported;
  if (args.groups < 1 || args.groups > kMaxGroups || args.n < 1 || args.k < 8 || args.k % 8 != 0)
    return cudaErrorInvalidValue;
  int active = 0;
  for (int g = 0; g < args.groups; ++g) {
    if (args.offsets[g + 1] < args.offsets[g]) return cudaErrorInvalidValue;
    active += args.offsets[g + 1] > args.offsets[g];
  }
  if (active == 0) return cudaSuccess;
  const int rows = args.offsets[args.groups] - args.offsets[0];
  // The smallest tiles are the most; their number must fit the grid and first_tile.
  if ((std::int64_t{rows} / 16 + active) * ceil_div(args.n, 16) > INT_MAX) return cudaErrorInvalidValue;
  Launch launch;
  launch.args = args;
  const int mean_rows = ceil_div(rows, active);
  return element == Element::bf16 ? run<__nv_bfloat16>(launch, mean_rows, stream)
                                  : run<__half>(launch, mean_rows, stream);
}

}  // namespace specmoe::cuda
