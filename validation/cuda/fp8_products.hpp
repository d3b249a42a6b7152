// Matrix products of fp8 numbers, by cuBLASLt.
#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

namespace specmoe::cuda {

/// Keeps the layouts and the algorithm of every shape that it has seen.
class Fp8Products {
 public:
  Fp8Products();
  ~Fp8Products();

  /// out[m, n] (bf16) = in[m, k] * weights[n, k]^T, both e4m3. cuBLASLt wants m in steps of 16: rows are added up to there.
  /// @throws std::runtime_error if no algorithm takes the shape
  void run(cudaStream_t stream, std::int64_t m, std::int64_t n, std::int64_t k, const void* in,
           const void* weights, void* out, void* workspace, std::size_t workspace_bytes);

 private:
  struct Plan;
  const Plan& plan(std::int64_t m, std::int64_t n, std::int64_t k, std::size_t workspace_bytes);

  cublasLtHandle_t handle_ = nullptr;
  std::map<std::array<std::int64_t, 3>, std::unique_ptr<Plan>> plans_;
};

}  // namespace specmoe::cuda
