#include "validation/cuda/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "validation/cuda/fp8_products.hpp"

namespace specmoe::cuda {

namespace {

constexpr std::size_t kInputs = std::size_t{1} << 30, kOutputs = std::size_t{1} << 30;
constexpr std::size_t kBlasWorkspace = 64 << 20;
constexpr std::int64_t kElement = 2;  // bytes

void check_blas(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("{}: {}", call, cublasGetStatusString(status)));
}

}  // namespace

KernelRunner::KernelRunner(Bytes arena)
    : element_(native_element()),
      arena_(static_cast<std::size_t>(arena.count)),
      inputs_(kInputs),
      outputs_(kOutputs),
      workspace_(kBlasWorkspace),
      attention_workspace_(attention_workspace_bytes()) {
  int device = 0, major = 0, minor = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cudaDeviceGetAttribute");
  capability_ = 10 * major + minor;
  check(fill_random(element_, arena_.data(), static_cast<std::int64_t>(arena_.size() / 2), 0.05F, 1, nullptr),
        "fill_random");
  check(fill_random(element_, inputs_.data(), static_cast<std::int64_t>(inputs_.size() / 2), 1, 2, nullptr),
        "fill_random");
  check(cudaMemset(attention_workspace_.data(), 0, attention_workspace_.size()), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  check_blas(cublasCreate(&blas_), "cublasCreate");
  check_blas(cublasSetWorkspace(blas_, workspace_.data(), workspace_.size()), "cublasSetWorkspace");
  if (supports(WeightFormat::fp8)) fp8_ = std::make_unique<Fp8Products>();
}

KernelRunner::~KernelRunner() {
  if (blas_) cublasDestroy(blas_);
}

bool KernelRunner::supports(WeightFormat format) const {
  return format == WeightFormat::bf16 || (format == WeightFormat::fp8 && capability_ >= 89);
}

char* KernelRunner::next(Bytes bytes) {
  constexpr std::size_t kAlign = 1024;
  const std::size_t size = (static_cast<std::size_t>(bytes.count) + kAlign - 1) / kAlign * kAlign;
  if (size > arena_.size()) throw std::runtime_error("a kernel's weights are larger than the arena");
  if (at_ + size > arena_.size()) at_ = 0;
  char* here = arena_.data() + at_;
  at_ += size;
  return here;
}

void KernelRunner::require(Bytes bytes) const {
  if (static_cast<std::size_t>(bytes.count) > std::min(inputs_.size(), outputs_.size()))
    throw std::runtime_error("a kernel's activations are larger than their buffer");
}

void KernelRunner::launch(cudaStream_t stream, const Kernel& kernel, const void* weights) {
  std::visit([&](const auto& work) { run(stream, work, weights); }, kernel.work);
}

// Row-major out[m, n] = in[m, k] * weights[n, k]^T is column-major out'[n, m] = weights'[k, n]^T * in'[k, m].
void KernelRunner::run(cudaStream_t stream, const Gemm& g, const void* weights) {
  require({kElement * g.m * std::max(g.n, g.k)});
  if (!weights) weights = next(weight_bytes(g.n * g.k, g.weights));
  if (g.weights == WeightFormat::fp8 && fp8_) {
    fp8_->run(stream, g.m, g.n, g.k, inputs_.data(), weights, outputs_.data(), workspace_.data(),
              workspace_.size());
    return;
  }
  if (!supports(g.weights))
    throw std::runtime_error(
        fmt::format("no matrix product with {} weights on this GPU", name_of(g.weights)));
  if (stream != blas_stream_) {
    check_blas(cublasSetStream(blas_, stream), "cublasSetStream");
    // Setting a stream takes the workspace back.
    check_blas(cublasSetWorkspace(blas_, workspace_.data(), workspace_.size()), "cublasSetWorkspace");
    blas_stream_ = stream;
  }
  const float one = 1, zero = 0;
  const cudaDataType type = element_ == Element::bf16 ? CUDA_R_16BF : CUDA_R_16F;
  const auto m = static_cast<int>(g.m), n = static_cast<int>(g.n), k = static_cast<int>(g.k);
  check_blas(cublasGemmEx(blas_, CUBLAS_OP_T, CUBLAS_OP_N, n, m, k, &one, weights, type, k, inputs_.data(),
                          type, k, &zero, outputs_.data(), type, n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
             "cublasGemmEx");
}

// Rows are spread over the groups as evenly as they go.
void KernelRunner::run(cudaStream_t stream, const GroupedGemm& g, const void*) {
  require({kElement * g.rows * std::max(g.n, g.k)});
  if (g.weights != WeightFormat::bf16 || g.groups > kMaxGroups)
    throw std::runtime_error("grouped products take bf16 weights, of at most 128 groups");
  GroupedGemmArgs args;
  args.in = inputs_.data();
  args.out = outputs_.data();
  args.n = static_cast<int>(g.n);
  args.k = static_cast<int>(g.k);
  args.groups = static_cast<int>(g.groups);
  args.offsets[0] = 0;
  for (std::int64_t i = 0; i < g.groups; ++i) {
    args.weights[i] = next(weight_bytes(g.n * g.k, g.weights));
    args.offsets[i + 1] =
        args.offsets[i] + static_cast<int>(g.rows / g.groups + (i < g.rows % g.groups ? 1 : 0));
  }
  check(grouped_gemm(element_, args, stream), "grouped_gemm");
}

void KernelRunner::run(cudaStream_t stream, const Attention& a, const void*) {
  require({kElement * a.queries * a.heads * a.head_dim});
  if (a.values() != a.head_dim || a.values_in_keys)
    throw std::runtime_error("attention takes values as wide as keys, and not within them");
  AttentionArgs args;
  args.sequences = static_cast<int>(a.sequences);
  args.queries = static_cast<int>(std::max<std::int64_t>(1, a.queries / a.sequences));
  args.heads = static_cast<int>(a.heads);
  args.kv_heads = static_cast<int>(a.kv_heads);
  args.head_dim = static_cast<int>(a.head_dim);
  // An encoder's queries see all positions, a decoder's those up to their own.
  args.causal = a.pairs < a.queries * (a.kv_positions / a.sequences);
  args.kv_positions =
      static_cast<int>(std::max<std::int64_t>(args.causal ? args.queries : 1, a.kv_positions / a.sequences));
  const Bytes cache{kElement * a.sequences * args.kv_positions * a.kv_heads * a.head_dim};
  args.q = inputs_.data();
  args.k = next(cache);
  args.v = next(cache);
  args.out = outputs_.data();
  args.workspace = attention_workspace_.data();
  check(attention(element_, args, stream), "attention");
}

void KernelRunner::run(cudaStream_t stream, const Elementwise& e, const void*) {
  const std::int64_t bytes = kElement * e.rows * e.width;
  require({bytes * std::max(e.reads, e.writes)});
  ElementwiseArgs args{};
  args.reads = static_cast<int>(std::min<std::int64_t>(e.reads, kMaxReads));
  args.writes = static_cast<int>(std::min<std::int64_t>(e.writes, kMaxWrites));
  args.count = e.rows * e.width;
  const std::int64_t stride = (bytes + 255) / 256 * 256;
  for (int i = 0; i < args.reads; ++i) args.in[i] = inputs_.data() + i * stride;
  for (int i = 0; i < args.writes; ++i) args.out[i] = outputs_.data() + i * stride;
  check(elementwise(element_, args, stream), "elementwise");
}

void KernelRunner::run(cudaStream_t stream, const TopK& t, const void*) {
  require({kElement * t.rows * t.width});
  auto* indices = reinterpret_cast<std::int32_t*>(outputs_.data());
  auto* weights = reinterpret_cast<float*>(outputs_.data() + kOutputs / 2);
  check(top_k(element_, inputs_.data(), t.rows, static_cast<int>(t.width), static_cast<int>(t.k), indices,
              weights, stream),
        "top_k");
}

}  // namespace specmoe::cuda
