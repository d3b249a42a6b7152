// What the kernels on tensor cores share: 16 x 16 parts of matrices (wmma) and how they reach registers and
// shared memory.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>
#include <mma.h>

#include <cstdint>
#include <type_traits>

namespace specmoe::cuda {

namespace wmma = nvcuda::wmma;

// A product takes rows from the left; its right factor lies in memory as it is, or transposed.
template <class T>
using LeftFragment = wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major>;
template <class T>
using RightFragment = wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::row_major>;
template <class T>
using TransposedFragment = wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::col_major>;
using SumFragment = wmma::fragment<wmma::accumulator, 16, 16, 16, float>;

// Bodies that tensor cores cannot run (bf16 before 8.0) are left empty; the host does not launch them.
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

// Elements, 16 bytes more than a power of two: the rows that a fragment load touches lie in different banks.
constexpr int kPad = 8;

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

}  // namespace specmoe::cuda
