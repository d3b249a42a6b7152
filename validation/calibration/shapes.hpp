// Which kernels are measured: to fit on, and others to score the fit on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/moe/model.hpp"
#include "sim/base/kernel.hpp"

namespace specmoe {

/// Names of the kernel classes, in the order of Kernel::work's alternatives: "gemm", ...
constexpr const char* kKernelClasses[] = {"gemm", "grouped_gemm", "attention", "elementwise", "top_k"};

/// The numbers of a kernel, and their names, as measurement files keep them.
std::vector<std::string> parameter_names(std::size_t kernel_class);
std::vector<std::int64_t> parameters_of(const Kernel& kernel);
/// @throws std::out_of_range if there are too few.
Kernel kernel_of(std::size_t kernel_class, const std::vector<std::int64_t>& parameters);

/// A grid over the shapes of every shipped model: 1 to 4096 tokens, batches and contexts.
std::vector<Kernel> shapes_to_fit(std::size_t kernel_class);
/// Kernels of the shipped models at random sizes between those of the grid (seeded): none of them is in it.
std::vector<Kernel> shapes_to_score(std::size_t kernel_class);

/// Whether a shape is one of the first half of the shipped models, every second one by name; or a model is.
bool shape_of_first_half(std::size_t kernel_class, const std::vector<std::int64_t>& parameters);
bool of_first_half(const MoeModel& model);

/// What a decoding block launches, two experts by themselves among it: of qwen1.5-moe-a2.7b (model 0) or mixtral-8x7b (1).
std::vector<Kernel> mixed_kernels(std::int64_t model, std::int64_t sequences);

/// Copies in a train of one size: of pinned memory, or of pageable.
int copy_train_length(std::int64_t bytes, bool pageable);

/// A predictor's forward pass as the kernels that it launches.
struct PredictorPass {
  const char* name;
  std::vector<Kernel> kernels;
};
/// An MLP on the hidden state and a small transformer over tokens, at several batch sizes.
std::vector<PredictorPass> predictor_passes();

}  // namespace specmoe
