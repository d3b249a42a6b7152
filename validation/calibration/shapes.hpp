// Which kernels are measured: to fit on, and others to score the fit on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

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

/// A predictor's forward pass as the kernels that it launches.
struct PredictorPass {
  const char* name;
  std::vector<Kernel> kernels;
};
/// An MLP on the hidden state and a small transformer over tokens, at several batch sizes.
std::vector<PredictorPass> predictor_passes();

}  // namespace specmoe
