#include "sim/policies/predictor_network.hpp"

namespace specmoe {

std::vector<Kernel> NetworkPart::kernels(const StepShape& shape, WeightFormat format, int block) const {
  std::vector<Kernel> all;
  const auto add = [&](auto work) { all.push_back({work, kPredictorKernel, block, -1}); };
  const std::int64_t tokens = shape.tokens;
  for (const NetworkProduct& p : products) {
    add(Gemm{tokens * p.rows, p.columns, p.inner, format});
    add(Elementwise{tokens * p.rows, p.columns});
  }
  for (const NetworkAttention& a : attention)
    if (a.keys < 0)
      add(Attention{shape.sequences, tokens, shape.kv_positions, shape.pairs, a.heads, a.heads, a.width});
    else
      add(Attention{tokens, tokens, tokens * a.keys, tokens * a.keys, a.heads, a.heads, a.width});
  return all;
}

std::int64_t PredictorNetwork::weights() const {
  std::int64_t sum = 0;
  for (const NetworkPart* part : {&step, &layer})
    for (const NetworkProduct& product : part->products) sum += product.inner * product.columns;
  return sum;
}

}  // namespace specmoe
