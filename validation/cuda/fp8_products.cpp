#include "validation/cuda/fp8_products.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace specmoe::cuda {

namespace {
void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("{}: {}", call, cublasGetStatusString(status)));
}
}  // namespace

struct Fp8Products::Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
  cublasLtMatmulAlgo_t algorithm{};

  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    if (operation) cublasLtMatmulDescDestroy(operation);
    for (const cublasLtMatrixLayout_t layout : {a, b, d})
      if (layout) cublasLtMatrixLayoutDestroy(layout);
  }
};

Fp8Products::Fp8Products() { check(cublasLtCreate(&handle_), "cublasLtCreate"); }
Fp8Products::~Fp8Products() { cublasLtDestroy(handle_); }

const Fp8Products::Plan& Fp8Products::plan(std::int64_t m, std::int64_t n, std::int64_t k,
                                           std::size_t workspace_bytes) {
  std::unique_ptr<Plan>& known = plans_[{m, n, k}];
  if (known) return *known;
  auto made = std::make_unique<Plan>();
  check(cublasLtMatmulDescCreate(&made->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  const cublasOperation_t transposed = CUBLAS_OP_T;
  check(cublasLtMatmulDescSetAttribute(made->operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                       sizeof transposed),
        "cublasLtMatmulDescSetAttribute");
  const auto rows = static_cast<std::uint64_t>(m), columns = static_cast<std::uint64_t>(n),
             inner = static_cast<std::uint64_t>(k);
  check(cublasLtMatrixLayoutCreate(&made->a, CUDA_R_8F_E4M3, inner, columns, k),
        "cublasLtMatrixLayoutCreate");
  check(cublasLtMatrixLayoutCreate(&made->b, CUDA_R_8F_E4M3, inner, rows, k), "cublasLtMatrixLayoutCreate");
  check(cublasLtMatrixLayoutCreate(&made->d, CUDA_R_16BF, columns, rows, n), "cublasLtMatrixLayoutCreate");
  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                       sizeof workspace_bytes);
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_, made->operation, made->a, made->b, made->d, made->d, preference, 1, &best, &found);
  cublasLtMatmulPreferenceDestroy(preference);
  if (status != CUBLAS_STATUS_SUCCESS || found == 0)
    throw std::runtime_error(fmt::format("cuBLASLt has no fp8 product of {} x {} x {}", m, n, k));
  made->algorithm = best.algo;
  known = std::move(made);
  return *known;
}

void Fp8Products::run(cudaStream_t stream, std::int64_t m, std::int64_t n, std::int64_t k, const void* in,
                      const void* weights, void* out, void* workspace, std::size_t workspace_bytes) {
  constexpr std::int64_t kStep = 16;
  const Plan& p = plan((m + kStep - 1) / kStep * kStep, n, k, workspace_bytes);
  const float one = 1, zero = 0;
  check(cublasLtMatmul(handle_, p.operation, &one, weights, p.a, in, p.b, &zero, out, p.d, out, p.d,
                       &p.algorithm, workspace, workspace_bytes, stream),
        "cublasLtMatmul");
}

}  // namespace specmoe::cuda
