// The experiments of `specmoe-calibrate measure`; each adds its points to the measurement. What the numbers mean stands in
// each experiment's description, which the file keeps.
#pragma once
#include <functional>
#include <string>

#include "validation/calibration/measurement.hpp"
#include "validation/cuda/cuda_machine.hpp"
#include "validation/cuda/harness.hpp"
#include "validation/cuda/runner.hpp"

namespace specmoe::cuda {

struct Bench {
  Harness& harness;
  KernelRunner& runner;
  /// Of copies: pageable at first; measure_pinned_copies pins it.
  HostPool& host;
  Measurement& out;
  /// Hears of progress: what is measured, and the share of it that is done.
  std::function<void(const std::string&, double)> progress;
  /// Writes what was measured so far.
  std::function<void()> save;
};

/// Every kernel class, on the shapes to fit and those to score, with the host's time to launch each; fp8 where the GPU has
/// it; predictors' forward passes.
void measure_kernels(Bench& bench);
/// Copies from and to pageable memory, where the host's time counts.
void measure_pageable_copies(Bench& bench);
/// Copies from and to pinned memory and within the GPU's: one by one, back to back, both ways at once, on two streams,
/// experts whole and matrix by matrix.
void measure_pinned_copies(Bench& bench);
/// What the host pays for a call, and how long events take to be noticed.
void measure_calls(Bench& bench);
/// Kernels beside copies, and copies beside kernels; kernels whose weights a copy has just brought.
void measure_overlap(Bench& bench);
/// Memory bandwidth of the host by threads; reads of a file in `folder` past the page cache.
void measure_host(Bench& bench, const std::string& folder);
/// What the board draws, about half a minute: idle, in products of one row and of many, while bytes come and go. Pins
/// the host's memory. Nothing where the driver does not tell.
void measure_power(Bench& bench);
/// What the engine itself takes, on a machine whose calls do nothing.
void measure_engine(Bench& bench);

}  // namespace specmoe::cuda
