#include "sim/policies/transitions.hpp"

namespace specmoe {

Transitions::Transitions(int layers, int experts, int farthest, double fade)
    : layers_(layers),
      experts_(experts),
      farthest_(farthest),
      fade_(fade),
      shares_(static_cast<std::size_t>(farthest) * static_cast<std::size_t>(layers) *
              static_cast<std::size_t>(experts) * static_cast<std::size_t>(experts)),
      row_tokens_(static_cast<std::size_t>(farthest) * static_cast<std::size_t>(layers) *
                  static_cast<std::size_t>(experts)) {}

void Transitions::observe(const StepRouting& step, int layer) {
  for (int distance = 1; distance <= farthest_ && layer - distance >= step.first_layer; ++distance)
    for (std::int64_t token = first_token(step); token < step.tokens; ++token)
      for (const std::int16_t from : step.at(token, layer - distance)) {
        if (from < 0) continue;
        const std::size_t index = row(layer - distance, distance, from);
        const auto rate = static_cast<float>(std::max(1.0 / ++row_tokens_[index], fade_));
        float* const shares = &shares_[index * static_cast<std::size_t>(experts_)];
        for (int to = 0; to < experts_; ++to) shares[to] *= 1 - rate;
        for (const std::int16_t to : step.at(token, layer))
          if (to >= 0) shares[to] += rate;
      }
}

void Transitions::expect(const StepRouting& step, std::int64_t token, int layer, int distance,
                         std::span<float> out) const {
  const std::int64_t first = token < 0 ? first_token(step) : token, end = token < 0 ? step.tokens : token + 1;
  const float weight = 1.0F / static_cast<float>(step.top_k * std::max<std::int64_t>(1, end - first));
  for (std::int64_t each = first; each < end; ++each)
    for (const std::int16_t from : step.at(each, layer)) {
      if (from < 0) continue;
      const float* const shares = &shares_[row(layer, distance, from) * static_cast<std::size_t>(experts_)];
      for (int to = 0; to < experts_; ++to) out[static_cast<std::size_t>(to)] += weight * shares[to];
    }
}

}  // namespace specmoe
