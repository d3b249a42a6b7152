#include "sim/policies/activation_matrices.hpp"

#include <algorithm>
#include <cmath>

namespace specmoe {

ActivationMatrices::ActivationMatrices(int layers, int experts, int capacity)
    : layers_(layers), experts_(experts), capacity_(static_cast<std::size_t>(capacity)) {}

void ActivationMatrices::observe(const StepRouting& step, int layer) {
  if (layer == step.first_layer) finish_absent(step);
  for (std::int64_t token = 0; token < step.tokens;) {
    const std::int64_t request = step.request_of(token);
    Sequence& s = sequences_[request];
    if (s.counts.empty()) {
      s.counts.resize(at(layers_));
      s.total.resize(static_cast<std::size_t>(layers_));
      s.square.resize(static_cast<std::size_t>(layers_));
      for (std::size_t i = 0; i < finished_.size(); ++i) compare(s, i);
    }
    const auto row = static_cast<std::size_t>(layer);
    const auto cosine = [&](std::size_t i) {
      return s.square[row] > 0 ? s.products[i][row] / std::sqrt(s.square[row]) : 0;
    };
    for (std::size_t i = 0; i < finished_.size(); ++i) s.alike[i] -= cosine(i);
    for (; token < step.tokens && step.request_of(token) == request; ++token)
      for (const std::int16_t expert : step.at(token, layer)) {
        if (expert < 0) continue;
        float& count = s.counts[at(layer, expert)];
        s.square[row] += 2 * count + 1;
        s.total[row] += 1;
        ++count;
        for (std::size_t i = 0; i < finished_.size(); ++i)
          s.products[i][row] += finished_[i].unit[at(layer, expert)];
      }
    for (std::size_t i = 0; i < finished_.size(); ++i) s.alike[i] += cosine(i);
  }
}

void ActivationMatrices::expect(std::int64_t request, int layer, float weight, std::span<float> out) const {
  const auto found = sequences_.find(request);
  if (found == sequences_.end()) return;
  const Sequence& s = found->second;
  const auto row = static_cast<std::size_t>(layer);
  const bool own = finished_.empty();
  const Finished* const match = own ? nullptr : &finished_[most_alike(s)];
  const float total = own ? s.total[row] : match->total[row];
  const float* const counts = own ? &s.counts[at(layer)] : &match->counts[at(layer)];
  if (total == 0) return;
  for (std::size_t expert = 0; expert < out.size(); ++expert) out[expert] += weight * counts[expert] / total;
}

void ActivationMatrices::finish_absent(const StepRouting& step) {
  if (step.requests.empty()) return;
  for (auto each = sequences_.begin(); each != sequences_.end();) {
    if (std::find(step.requests.begin(), step.requests.end(), each->first) != step.requests.end()) {
      ++each;
      continue;
    }
    const Sequence finished = std::move(each->second);
    each = sequences_.erase(each);
    add(finished);
  }
}

void ActivationMatrices::add(const Sequence& sequence) {
  const std::size_t place = finished_.size() < capacity_ ? finished_.size() : most_alike(sequence);
  if (place == finished_.size()) finished_.emplace_back();
  Finished& f = finished_[place];
  f = {sequence.counts, sequence.counts, sequence.total};
  for (int layer = 0; layer < layers_; ++layer) {
    const float square = sequence.square[static_cast<std::size_t>(layer)];
    if (square > 0)
      for (int expert = 0; expert < experts_; ++expert) f.unit[at(layer, expert)] /= std::sqrt(square);
  }
  for (auto& [request, other] : sequences_) compare(other, place);
}

void ActivationMatrices::compare(Sequence& s, std::size_t finished) const {
  if (s.products.size() <= finished) {
    s.products.resize(finished + 1);
    s.alike.resize(finished + 1);
  }
  auto& products = s.products[finished];
  products.assign(static_cast<std::size_t>(layers_), 0);
  s.alike[finished] = 0;
  for (int layer = 0; layer < layers_; ++layer) {
    float& product = products[static_cast<std::size_t>(layer)];
    for (int expert = 0; expert < experts_; ++expert)
      product += s.counts[at(layer, expert)] * finished_[finished].unit[at(layer, expert)];
    const float square = s.square[static_cast<std::size_t>(layer)];
    if (square > 0) s.alike[finished] += product / std::sqrt(square);
  }
}

std::size_t ActivationMatrices::most_alike(const Sequence& s) {
  return static_cast<std::size_t>(std::max_element(s.alike.begin(), s.alike.end()) - s.alike.begin());
}

}  // namespace specmoe
