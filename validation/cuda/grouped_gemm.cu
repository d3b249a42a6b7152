// Grouped matrix products on tensor cores (wmma). Two kernels, chosen by the mean rows a group: one streams
// weights for a few rows (decode, bound by memory), one reuses tiles of many rows (prefill, bound by
// arithmetic). Neither is as fast as cuBLAS at its best; both are what a plain engine would run.
#include <climits>

#include "grouped_gemm.cuh"

namespace specmoe::cuda {
namespace {

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

template <class T>
cudaError_t run(Launch& launch, int mean_rows, cudaStream_t stream) {
  // Smaller tiles read more, but only tiles on every multiprocessor read at full bandwidth.
  const int enough = multiprocessors();
  if (mean_rows <= 16) {
    std::int64_t tiles = lay_out(launch, 16, 32);
    if (tiles >= enough) return launch_streaming<T, 32>(launch, tiles, stream);
    return launch_streaming<T, 16>(launch, lay_out(launch, 16, 16), stream);
  }
  std::int64_t tiles = lay_out(launch, 128, 128);
  if (mean_rows > 64 && tiles >= enough) return launch_blocked<Wide<T>>(launch, tiles, stream);
  tiles = lay_out(launch, 64, 64);
  if (tiles >= enough) return launch_blocked<Middle<T>>(launch, tiles, stream);
  return launch_blocked<Narrow<T>>(launch, lay_out(launch, 64, 32), stream);
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
