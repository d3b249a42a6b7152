// Kernels bound by memory alone, the ones that only help to measure (spin, fill, read), and what the kernels'
// host sides share.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <climits>

#include "kernels.hpp"

namespace specmoe::cuda {
namespace {

constexpr int kThreads = 256, kMaxDevices = 64;

template <class T>
struct alignas(16) Eight {
  T value[8];
};

template <class T>
__device__ __forceinline__ T activate(float mean) {
  return T(mean / (1.f + __expf(-mean)));
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    combine(const __grid_constant__ ElementwiseArgs args, float share) {
  const std::int64_t vectors = args.count / 8, i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < vectors) {
    float mean[8] = {};
#pragma unroll 4
    for (int r = 0; r < args.reads; ++r) {
      const Eight<T> in = static_cast<const Eight<T>*>(args.in[r])[i];
#pragma unroll
      for (int e = 0; e < 8; ++e) mean[e] += static_cast<float>(in.value[e]) * share;
    }
    Eight<T> active, plain;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      active.value[e] = activate<T>(mean[e]);
      plain.value[e] = T(mean[e]);
    }
    static_cast<Eight<T>*>(args.out[0])[i] = active;
    if (args.writes > 1) static_cast<Eight<T>*>(args.out[1])[i] = plain;
  } else if (i == vectors) {  // one thread takes the up to 7 elements of the tail
    for (std::int64_t at = vectors * 8; at < args.count; ++at) {
      float mean = 0;
      for (int r = 0; r < args.reads; ++r)
        mean += static_cast<float>(static_cast<const T*>(args.in[r])[at]) * share;
      static_cast<T*>(args.out[0])[at] = activate<T>(mean);
      if (args.writes > 1) static_cast<T*>(args.out[1])[at] = T(mean);
    }
  }
}

__global__ void wait_for(const volatile int* flag) {
  const long long begin = clock64();
  while (*flag == 0 && clock64() - begin < 4000000000LL) __nanosleep(200);
}

// splitmix64 of the element's number.
__device__ __forceinline__ std::uint64_t hash(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    fill(T* data, std::int64_t count, float scale, std::uint64_t seed) {
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) {
    const std::uint64_t bits = hash(hash(seed) + static_cast<std::uint64_t>(i));
    const std::uint64_t sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    // The sum of four uniform numbers has variance 4 / 12.
    data[i] = T((static_cast<float>(sum) / 65536.f - 2.f) * 1.7320508f * scale);
  }
}

__global__ void __launch_bounds__(kThreads)
    add_words(const uint4* data, std::int64_t vectors, std::uint32_t* sum) {
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  std::uint32_t mine = 0;
#pragma unroll 4
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < vectors; i += step) {
    const uint4 four = data[i];
    mine += four.x + four.y + four.z + four.w;
  }
  for (int distance = 16; distance > 0; distance /= 2) mine += __shfl_xor_sync(0xffffffffu, mine, distance);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, mine);
}

// One attribute of each device, asked for once; a failure reads as 1.
int remembered(std::atomic<int> (&known)[kMaxDevices], cudaDeviceAttr attribute) {
  int device = 0, value = 1;
  if (cudaGetDevice(&device) != cudaSuccess || device >= kMaxDevices) return 1;
  if (const int seen = known[device].load(std::memory_order_relaxed)) return seen;
  if (cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess) return 1;
  known[device].store(value, std::memory_order_relaxed);
  return value;
}

unsigned blocks_for(std::int64_t threads) {
  const std::int64_t fill = std::int64_t{multiprocessors()} * 8;
  return static_cast<unsigned>(std::clamp<std::int64_t>((threads + kThreads - 1) / kThreads, 1, fill));
}

template <class T>
cudaError_t run_combine(const ElementwiseArgs& args, cudaStream_t stream) {
  const std::int64_t blocks = (args.count / 8 + (args.count % 8 != 0) + kThreads - 1) / kThreads;
  if (blocks > INT_MAX) return cudaErrorInvalidValue;
  combine<T>
      <<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(args, 1.f / static_cast<float>(args.reads));
  return cudaGetLastError();
}

}  // namespace

int multiprocessors() {
  static std::atomic<int> known[kMaxDevices];
  return remembered(known, cudaDevAttrMultiProcessorCount);
}

Element native_element() {
  static std::atomic<int> known[kMaxDevices];
  return remembered(known, cudaDevAttrComputeCapabilityMajor) >= 8 ? Element::bf16 : Element::fp16;
}

cudaError_t allow_shared(const void* kernel, int bytes, std::atomic<std::uint64_t>& done) {
  int device = 0;
  cudaError_t status = cudaGetDevice(&device);
  const std::uint64_t bit = std::uint64_t{1} << device % 64;
  if (status != cudaSuccess || (done.load(std::memory_order_relaxed) & bit) != 0) return status;
  status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  // The kernels keep nothing in L1, and their blocks a multiprocessor are bound by shared memory.
  if (status == cudaSuccess)
    status = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, 100);
  if (status == cudaSuccess) done.fetch_or(bit, std::memory_order_relaxed);
  return status;
}

cudaError_t elementwise(Element element, const ElementwiseArgs& args, cudaStream_t stream) {
  if (element == Element::bf16 && native_element() != Element::bf16) return cudaErrorNotSupported;
  if (args.reads < 1 || args.reads > kMaxReads || args.writes < 1 || args.writes > kMaxWrites ||
      args.count < 0)
    return cudaErrorInvalidValue;
  if (args.count == 0) return cudaSuccess;
  return element == Element::bf16 ? run_combine<__nv_bfloat16>(args, stream)
                                  : run_combine<__half>(args, stream);
}

cudaError_t spin(const int* flag, cudaStream_t stream) {
  wait_for<<<1, 1, 0, stream>>>(flag);
  return cudaGetLastError();
}

cudaError_t fill_random(Element element, void* data, std::int64_t count, float scale, std::uint64_t seed,
                        cudaStream_t stream) {
  if (count < 0) return cudaErrorInvalidValue;
  if (count == 0) return cudaSuccess;
  if (element == Element::bf16)
    fill<<<blocks_for(count), kThreads, 0, stream>>>(static_cast<__nv_bfloat16*>(data), count, scale, seed);
  else
    fill<<<blocks_for(count), kThreads, 0, stream>>>(static_cast<__half*>(data), count, scale, seed);
  return cudaGetLastError();
}

cudaError_t read_sum(const void* data, std::int64_t bytes, std::uint32_t* sum, cudaStream_t stream) {
  if (bytes < 0 || bytes % 16 != 0) return cudaErrorInvalidValue;
  if (bytes == 0) return cudaSuccess;
  add_words<<<blocks_for(bytes / 16), kThreads, 0, stream>>>(static_cast<const uint4*>(data), bytes / 16,
                                                             sum);
  return cudaGetLastError();
}

}  // namespace specmoe::cuda
