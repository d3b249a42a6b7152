// Runs the kernels that `Kernel` names on the current GPU: matrix products by cuBLAS, the rest by kernels.hpp.
#pragma once
#include <cublas_v2.h>

#include <cstdint>
#include <memory>

#include "sim/base/kernel.hpp"
#include "sim/base/units.hpp"
#include "validation/cuda/cuda.hpp"
#include "validation/cuda/kernels.hpp"

namespace specmoe::cuda {

class Fp8Products;

/// Inputs are random and always the same, outputs are never read: what is timed is the work, not a model's answers.
/// Weights and KV caches come from an arena that is walked through, so that they are found in memory and not in the L2
/// cache, as in a model; inputs stay where the L2 cache finds them, as in a model too.
class KernelRunner {
 public:
  /// @param arena bytes to walk through; several times the L2 cache and larger than the largest weight.
  explicit KernelRunner(Bytes arena);
  ~KernelRunner();

  /// Queues the kernel. @param weights its weights; null for the arena's next.
  /// @throws std::runtime_error for a shape or format that has no counterpart here.
  void launch(cudaStream_t stream, const Kernel& kernel, const void* weights = nullptr);
  /// Whether launch() takes this weight format on this GPU.
  bool supports(WeightFormat format) const;

  /// Bytes that one kernel's weights or caches may have.
  Bytes arena() const { return {static_cast<std::int64_t>(arena_.size())}; }
  Element element() const { return element_; }
  /// The next so many bytes of the arena.
  char* next(Bytes bytes);

 private:
  void run(cudaStream_t stream, const Gemm& gemm, const void* weights);
  void run(cudaStream_t stream, const GroupedGemm& gemm, const void* weights);
  void run(cudaStream_t stream, const Attention& attention, const void*);
  void run(cudaStream_t stream, const Elementwise& elementwise, const void*);
  void run(cudaStream_t stream, const TopK& top_k, const void*);
  void require(Bytes bytes) const;

  Element element_;
  int capability_;  // 10 * major + minor
  DeviceBuffer arena_, inputs_, outputs_, workspace_, attention_workspace_;
  std::size_t at_ = 0;
  cublasHandle_t blas_ = nullptr;
  cudaStream_t blas_stream_ = nullptr;
  std::unique_ptr<Fp8Products> fp8_;
};

}  // namespace specmoe::cuda
