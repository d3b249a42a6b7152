// What the two grouped matrix products share: the tiles of a launch, and how results are stored.
#pragma once
#include "kernels.hpp"
#include "tensor.cuh"

namespace specmoe::cuda {

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

/// For a few rows a group: 16 rows x kColumns a block, which streams weights. `tiles` is the grid.
template <class T, int kColumns>
cudaError_t launch_streaming(const Launch& launch, std::int64_t tiles, cudaStream_t stream);

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

template <class T>
using Wide = Blocked<T, 128, 128, 32, 2, 4, 2>;
template <class T>
using Middle = Blocked<T, 64, 64, 64, 2, 2, 3>;
template <class T>
using Narrow = Blocked<T, 64, 32, 64, 2, 2, 4>;

/// For many rows a group; B is one of the above.
template <class B>
cudaError_t launch_blocked(const Launch& launch, std::int64_t tiles, cudaStream_t stream);

}  // namespace specmoe::cuda
