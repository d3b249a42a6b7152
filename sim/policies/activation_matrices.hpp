// MoE-Infinity's expert activation matrices (arXiv 2401.14361): for each sequence, how many of its tokens went to each
// expert, and the finished sequence that is most alike.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "sim/policies/step_routing.hpp"

namespace specmoe {

/// A collection of the matrices of finished sequences. Alike are two matrices by the mean over the layers of the cosine
/// of their rows (the paper's distance is 1 - that). A full collection replaces the one most like the new one, so that
/// it stays diverse. A sequence has finished when a step runs without it.
class ActivationMatrices {
 public:
  ActivationMatrices(int layers, int experts, int capacity);

  /// The routing of `layer` has become known.
  void observe(const StepRouting& step, int layer);
  /// Adds weight * [expert], the shares of the layer's tokens that went to each expert in the finished sequence most like
  /// `request`, or in `request` so far where none has finished. Nothing if nothing is known.
  void expect(std::int64_t request, int layer, float weight, std::span<float> out) const;
  std::size_t finished() const { return finished_.size(); }

 private:
  struct Finished {
    std::vector<float> counts, unit;  // [layer, expert]; unit: rows of length 1
    std::vector<float> total;         // [layer]
  };
  struct Sequence {
    std::vector<float> counts;                 // [layer, expert]
    std::vector<float> total, square;          // [layer], sums of the counts and of their squares
    std::vector<std::vector<float>> products;  // [finished][layer] with its unit rows
    std::vector<float> alike;                  // [finished], sums of the layers' cosines
  };
  std::size_t at(int layer, int expert = 0) const {
    return static_cast<std::size_t>(layer) * static_cast<std::size_t>(experts_) +
           static_cast<std::size_t>(expert);
  }
  void finish_absent(const StepRouting& step);
  void add(const Sequence& sequence);
  void compare(Sequence& sequence, std::size_t finished) const;
  static std::size_t most_alike(const Sequence& sequence);

  int layers_, experts_;
  std::size_t capacity_;
  std::vector<Finished> finished_;
  std::map<std::int64_t, Sequence> sequences_;  // by request
};

}  // namespace specmoe
