// Letters as experts: an eviction policy, the slots that it rules, and sequences to run through them.
#pragma once
#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/policies/eviction.hpp"
#include "tests/engine/random_scenario.hpp"

namespace specmoe::testing {

inline constexpr int kLetters = 26;

/// Experts are letters, of `layers` layers: in "A" to "Z" layer 0 has all 26, or with more layers A, B, C ... are expert
/// 0 of layer 0, of layer 1, ..., as many as there are layers, then come the experts 1.
class Slots {
 public:
  Slots(std::string_view name, std::size_t size, const std::string& accesses = "", std::uint64_t seed = 1,
        ParameterValues parameters = {}, int layers = 1)
      : size_(size),
        layers_(layers),
        bytes_(static_cast<std::size_t>(layers), Bytes{1}),
        future_(static_cast<std::size_t>(kLetters * layers)) {
    for (std::uint32_t date = 0; date < accesses.size(); ++date)
      future_[static_cast<std::size_t>(letter(accesses[date]).layer * kLetters +
                                       letter(accesses[date]).expert)]
          .push_back(date);
    policy_ =
        eviction_named(name).make({layers, kLetters, seed, &future_, Bytes{static_cast<std::int64_t>(size)},
                                   layers, bytes_, std::move(parameters)});
  }

  EvictionPolicy& policy() { return *policy_; }
  ExpertId letter(char c) const { return {(c - 'A') % layers_, (c - 'A') / layers_}; }

  void start() { policy_->started(); }
  /// One token's experts of a layer become known. @param weights as many, or none
  void route(const std::string& experts, const std::vector<float>& weights = {}, bool prefill = false,
             std::int64_t request = 0) {
    const int layer = letter(experts[0]).layer;
    const int k = static_cast<int>(experts.size());
    StepRouting step{layers_, k, 1, 0, layers_, {}};
    step.experts.assign(static_cast<std::size_t>(layers_ * k), -1);
    if (!weights.empty()) step.weights.assign(step.experts.size(), 0);
    for (int rank = 0; rank < k; ++rank) {
      const auto at = static_cast<std::size_t>(layer * k + rank);
      step.experts[at] = static_cast<std::int16_t>(letter(experts[static_cast<std::size_t>(rank)]).expert);
      if (!weights.empty()) step.weights[at] = weights[static_cast<std::size_t>(rank)];
    }
    step.requests = {request};
    step.rows = {0};
    step.prefill = prefill;
    policy_->routed(step, layer);
  }
  void enter(char c) {
    policy_->entered(letter(c));
    held_.insert(c);
  }
  void leave(char c) {
    policy_->left(letter(c));
    held_.erase(c);
  }
  void use(char c) { policy_->used(letter(c)); }
  /// The next to leave but for these; '-' if none may.
  char victim(const std::string& pinned = "") {
    const auto name = [&](ExpertId id) { return static_cast<char>('A' + id.expert * layers_ + id.layer); };
    const auto id = policy_->victim([&](ExpertId each) { return pinned.find(name(each)) == pinned.npos; });
    return id ? name(*id) : '-';
  }
  /// One character an access: '+' a hit, the letter that left for a miss, '.' a miss into an empty slot.
  std::string run(const std::string& accesses) {
    std::string result;
    for (const char c : accesses) {
      char what = '+';
      if (!held_.contains(c)) {
        what = '.';
        if (held_.size() == size_) leave(what = victim());
        enter(c);
      }
      use(c);
      result += what;
    }
    return result;
  }
  std::string held() const { return {held_.begin(), held_.end()}; }

 private:
  std::size_t size_;
  int layers_;
  std::vector<Bytes> bytes_;
  FutureUses future_;
  std::unique_ptr<EvictionPolicy> policy_;
  std::set<char> held_;
};

inline ParameterValues with(std::string_view name, double value) {
  ParameterValues values;
  values.set(name, value);
  return values;
}

}  // namespace specmoe::testing
