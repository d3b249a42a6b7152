// Real kernels of the shapes that sim/base/kernel.hpp names, so that its prices can be measured.
// Every call is one launch on `stream`: no allocation, no synchronisation, no property query after the first
// call on a device. Device pointers are 16-byte aligned; matrices are row-major without gaps. Shapes that a
// kernel does not support return cudaErrorInvalidValue and launch nothing.
#pragma once
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace specmoe::cuda {

/// Stored numbers, 16 bits each; sums are fp32. bf16 needs compute capability 8.0 (cudaErrorNotSupported).
enum class Element { bf16, fp16 };

/// Of the current device, remembered after the first call.
Element native_element();
int multiprocessors();

inline constexpr int kMaxGroups = 128;

/// out[r, n] = in[r, k] * weights[g][n, k]^T for the rows offsets[g] <= r < offsets[g + 1] of group g; groups
/// may be empty. One group is a plain Gemm. k is a multiple of 8. `in` and `out` do not overlap.
struct GroupedGemmArgs {
  const void* in;
  void* out;
  int n, k, groups;
  const void* weights[kMaxGroups];
  int offsets[kMaxGroups + 1];
};
cudaError_t grouped_gemm(Element element, const GroupedGemmArgs& args, cudaStream_t stream);

/// q and out: [sequence, query, head, head_dim]; k and v: [sequence, position, kv_head, head_dim]. The queries
/// are the last positions; causal: query i sees kv_positions - queries + i + 1 of them. head_dim is 64 or 128,
/// heads a multiple of kv_heads. One query a sequence runs the decode kernel, more the prefill kernel.
struct AttentionArgs {
  const void *q, *k, *v;
  void* out;
  /// attention_workspace_bytes(), zeroed once by the caller; launches on one stream may share it. Used by
  /// decode only.
  void* workspace;
  int sequences, queries, kv_positions, heads, kv_heads, head_dim;
  bool causal = true;
};
std::size_t attention_workspace_bytes();
cudaError_t attention(Element element, const AttentionArgs& args, cudaStream_t stream);

inline constexpr int kMaxReads = 16, kMaxWrites = 2;

/// mean = average of the `reads` inputs; out[0] = mean * sigmoid(mean), out[1] = mean. Every array has `count`
/// (rows * width) elements; an output may be one of the inputs.
struct ElementwiseArgs {
  const void* in[kMaxReads];
  void* out[kMaxWrites];
  int reads, writes;
  std::int64_t count;
};
cudaError_t elementwise(Element element, const ElementwiseArgs& args, cudaStream_t stream);

inline constexpr int kMaxRank = 16;

/// logits[rows, width] (finite) -> [row, rank] index and softmax weight (over the whole row) of the k largest;
/// of equals the lower index comes first.
cudaError_t top_k(Element element, const void* logits, std::int64_t rows, int width, int k,
                  std::int32_t* indices, float* weights, cudaStream_t stream);

/// Keeps the stream busy until *flag != 0 (device address of mapped host memory), at most 4e9 clocks (2 s at
/// 2 GHz), so that work can queue up behind it.
cudaError_t spin(const int* flag, cudaStream_t stream);
/// Roughly normal numbers of standard deviation `scale`; the same `seed` gives the same numbers.
cudaError_t fill_random(Element element, void* data, std::int64_t count, float scale, std::uint64_t seed,
                        cudaStream_t stream);
/// *sum += the 32-bit words of `data`, modulo 2^32: a read of `bytes` (a multiple of 16) and nothing else.
cudaError_t read_sum(const void* data, std::int64_t bytes, std::uint32_t* sum, cudaStream_t stream);

/// Every kernel against a CPU reference, one line a check to `log`; returns the number of failures. A CUDA
/// error counts as one.
int check_kernels(std::FILE* log);

/// For the kernels' own files: lets `kernel` use `bytes` of dynamic shared memory, once a device. `done` has a
/// bit a device and belongs to that kernel alone.
cudaError_t allow_shared(const void* kernel, int bytes, std::atomic<std::uint64_t>& done);

}  // namespace specmoe::cuda
