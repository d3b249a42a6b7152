// Links, host calls and slow-downs of a machine from its measurements: medians, no search.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/hardware/platform.hpp"
#include "validation/calibration/measurement.hpp"

namespace specmoe {

/// Medians of an experiment's points whose first parameters are `head`, by their last parameter.
std::map<std::int64_t, double> medians(const Measurement& measurement, const std::string& experiment,
                                       const std::vector<std::int64_t>& head);
/// The median of an experiment of one point.
double single(const Measurement& measurement, const std::string& experiment);

/// Seconds by bytes, of one copy alone and of one of a train with an event after each.
Direction fit_direction(const std::map<std::int64_t, double>& one,
                        const std::map<std::int64_t, double>& train, double event_time);
/// Of copies within a memory: as fast as the largest, and what smaller ones take beyond that.
Direction fit_within(const std::map<std::int64_t, double>& train, double event_time);
/// @param calls what the host pays to queue a copy and its event
Direction fit_pageable(const std::map<std::int64_t, double>& train, double calls);

/// What calls cost the host.
struct HostCosts {
  /// Without synchronize, which needs the link.
  HostCalls calls;
  std::array<Seconds, 5> dispatch;
  /// Of gemm by {n, k, format}, then by m, beyond calls.launch.
  std::map<std::array<std::int64_t, 3>, std::map<std::int64_t, Seconds>> gemm_dispatch;
};
HostCosts fit_host(const Measurement& measurement);

/// What a kernel among others takes beyond kernel_time, whose kernels follow their like.
double kernel_change(const Measurement& measurement, const Platform& platform, DeviceId gpu);

/// By how much copies into the GPU's memory slow kernels that are bound by memory, or by arithmetic.
double slowdown(const Measurement& measurement, bool memory_bound);

}  // namespace specmoe
