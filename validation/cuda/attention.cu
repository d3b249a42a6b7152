// Attention against a KV cache, online softmax throughout. One query a sequence runs the decode kernel, more the
// prefill kernel. Both multiply on tensor cores (wmma), 16 rows a warp.
#include "attention.cuh"

namespace specmoe::cuda {
namespace {

template <class T, int kDim>
cudaError_t run(const AttentionArgs& args, cudaStream_t stream) {
  return args.queries > 1 ? launch_prefill<T, kDim>(args, stream) : launch_decode<T, kDim>(args, stream);
}

}  // namespace

cudaError_t attention(Element element, const AttentionArgs& args, cudaStream_t stream) {
  if (element == Element::bf16 && native_element() != Element::bf16) return cudaErrorNotSupported;
  if (args.sequences < 1 || args.sequences > 65535 || args.queries < 1 || args.kv_positions < args.queries ||
      args.kv_heads < 1 || args.heads < 1 || args.heads > 65535 || args.heads % args.kv_heads != 0)
    return cudaErrorInvalidValue;
  if (args.head_dim == 64)
    return element == Element::bf16 ? run<__nv_bfloat16, 64>(args, stream) : run<__half, 64>(args, stream);
  if (args.head_dim == 128)
    return element == Element::bf16 ? run<__nv_bfloat16, 128>(args, stream) : run<__half, 128>(args, stream);
  return cudaErrorInvalidValue;
}

}  // namespace specmoe::cuda
