#include "validation/calibration/fit_machine.hpp"

#include <algorithm>

#include "models/hardware/kernel_price.hpp"
#include "validation/calibration/shapes.hpp"

namespace specmoe {

constexpr std::int64_t kExpert = 8 << 20, kMiddle = 4 << 20;

// Medians of an experiment's points whose first parameters are `head`, by the last parameter.
std::map<std::int64_t, double> medians(const Measurement& m, const std::string& name,
                                       const std::vector<std::int64_t>& head) {
  std::map<std::int64_t, double> all;
  for (const MeasuredPoint& point : m[name].points)
    if (std::equal(head.begin(), head.end(), point.parameters.begin()))
      all[point.parameters.back()] = point.median();
  return all;
}

double single(const Measurement& m, const std::string& name) { return m[name].points.at(0).median(); }

// Bandwidth of the largest copies; what a train of smaller ones takes beyond it is the half size, and what one alone takes
// beyond that the latency.
Direction fit_direction(const std::map<std::int64_t, double>& one,
                        const std::map<std::int64_t, double>& train, double event_time) {
  std::vector<double> rates, halves, latencies;
  for (const auto& [bytes, time] : train)
    if (bytes >= kExpert) rates.push_back(static_cast<double>(bytes) / (time - event_time));
  const double rate = median_of(rates);
  for (const auto& [bytes, time] : train)
    if (bytes >= 4096 && bytes <= kMiddle)
      halves.push_back((time - event_time) * rate - static_cast<double>(bytes));
  const double half = std::max(0.0, median_of(halves));
  // Copies that one alone takes no longer than one of a train travel inline.
  std::int64_t inline_size = 0;
  for (const auto& [bytes, time] : one) {
    if (bytes >= 16384 || time >= train.at(bytes)) break;
    inline_size = bytes;
  }
  for (const auto& [bytes, time] : one)
    if (bytes >= 4096 && bytes <= kMiddle)
      latencies.push_back(time - (static_cast<double>(bytes) + half) / rate);
  return {{rate}, {std::max(0.0, median_of(latencies))}, {static_cast<std::int64_t>(half)}, {inline_size}};
}

// Those of tens of MiB are still held up by what a copy costs at its ends.
Direction fit_within(const std::map<std::int64_t, double>& train, double event_time) {
  constexpr std::int64_t kLarge = 128 << 20, kSmall = 16 << 20;
  std::vector<double> rates, halves;
  for (const auto& [bytes, time] : train)
    if (bytes >= kLarge) rates.push_back(static_cast<double>(bytes) / (time - event_time));
  const double rate = median_of(rates);
  for (const auto& [bytes, time] : train)
    if (bytes <= kSmall) halves.push_back((time - event_time) * rate - static_cast<double>(bytes));
  return {{rate}, {}, {static_cast<std::int64_t>(std::max(0.0, median_of(halves)))}};
}

// A pageable copy ends before its call returns, so every one finds its engine idle: what the smallest take is latency.
Direction fit_pageable(const std::map<std::int64_t, double>& train, double calls) {
  constexpr std::int64_t kSmall = 16 << 10;
  std::vector<double> rates, latencies;
  for (const auto& [bytes, time] : train)
    if (bytes >= kExpert) rates.push_back(static_cast<double>(bytes) / time);
  const double rate = median_of(rates);
  for (const auto& [bytes, time] : train)
    if (bytes <= kSmall) latencies.push_back(time - calls - static_cast<double>(bytes) / rate);
  return {{rate}, {std::max(0.0, median_of(latencies))}, {0}};
}

using GemmLaunches = std::map<std::array<std::int64_t, 3>, std::map<std::int64_t, double>>;

// cuBLAS launches one kernel for some shapes and three for others. A host's hiccup lasts a few points of a train of
// shapes, so each takes the median of itself and its four neighbours in m.
GemmLaunches gemm_launches(const Measurement& m) {
  std::map<std::array<std::int64_t, 3>, std::map<std::int64_t, double>> measured, smooth;
  for (const MeasuredPoint& point : m["launch/gemm"].points) {
    const auto& p = point.parameters;
    measured[{p.at(1), p.at(2), p.at(3)}][p.at(0)] = point.median();
  }
  for (const auto& [shape, times] : measured) {
    const std::vector<std::pair<std::int64_t, double>> all(times.begin(), times.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::vector<double> near;
      for (std::size_t j = i < 2 ? 0 : i - 2; j < std::min(all.size(), i + 3); ++j)
        near.push_back(all[j].second);
      smooth[shape][all[i].first] = median_of(near);
    }
  }
  return smooth;
}

// What a launch of each class costs by itself, the median over its shapes, and of gemm each shape's, times what launches
// cost more (or less) as an engine mixes them: a class alone in a loop keeps its code in the caches, and a host's clocks
// drift between experiments. The cheapest class is a bare launch, what others take more is their dispatch.
HostCosts fit_host(const Measurement& m) {
  HostCosts costs{};
  std::array<double, 5> launch{};
  for (std::size_t i = 0; i < launch.size(); ++i) {
    std::vector<double> all;
    for (const MeasuredPoint& point : m[std::string("launch/") + kKernelClasses[i]].points)
      all.push_back(point.median());
    launch[i] = median_of(all);
  }
  const GemmLaunches gemm = gemm_launches(m);
  const auto expected = [&](const Kernel& kernel) {
    if (const auto* g = std::get_if<Gemm>(&kernel.work)) {
      const auto shape = gemm.find({g->n, g->k, static_cast<std::int64_t>(g->weights)});
      if (shape != gemm.end() && shape->second.count(g->m)) return shape->second.at(g->m);
    }
    return launch[kernel.work.index()];
  };
  std::vector<double> ratios;
  for (const MeasuredPoint& point : m["call/mixed"].points) {
    if (point.parameters.at(2) == 1) continue;  // of the GPU
    const std::vector<Kernel> kernels = mixed_kernels(point.parameters.at(0), point.parameters.at(1));
    double sum = 0;
    for (const Kernel& kernel : kernels) sum += expected(kernel);
    ratios.push_back(point.median() * static_cast<double>(kernels.size()) / sum);
  }
  const double mixed = median_of(ratios);
  for (double& each : launch) each *= mixed;
  costs.calls.launch = {*std::min_element(launch.begin(), launch.end())};
  for (std::size_t i = 0; i < launch.size(); ++i) costs.dispatch[i] = {launch[i] - costs.calls.launch.value};
  for (const auto& [shape, times] : gemm)
    for (const auto& [rows, time] : times)
      costs.gemm_dispatch[shape][rows] = {std::max(0.0, time * mixed - costs.calls.launch.value)};
  std::vector<double> copies, work;
  for (const MeasuredPoint& point : m["copy/call"].points) copies.push_back(point.median());
  for (const MeasuredPoint& point : m["engine/call"].points) work.push_back(point.median());
  costs.calls.copy = {median_of(copies)};
  costs.calls.work = {median_of(work)};
  costs.calls.record = {single(m, "call/record")};
  costs.calls.wait = {single(m, "call/wait")};
  return costs;
}

// Of the small model: beside kernels of tens of microseconds it would drown in their own prices' errors.
double kernel_change(const Measurement& m, const Platform& platform, DeviceId gpu) {
  std::vector<double> all;
  for (const MeasuredPoint& point : m["call/mixed"].points) {
    if (point.parameters.at(0) != 0 || point.parameters.at(2) != 1) continue;
    const std::vector<Kernel> kernels = mixed_kernels(0, point.parameters.at(1));
    Seconds sum;
    for (const Kernel& kernel : kernels) sum += kernel_time(platform, gpu, kernel);
    all.push_back(point.median() - sum.value / static_cast<double>(kernels.size()));
  }
  return std::max(0.0, median_of(all));
}

double slowdown(const Measurement& m, bool memory_bound) {
  std::map<std::int64_t, std::map<std::int64_t, double>> by_kernel;
  for (const MeasuredPoint& point : m["overlap/kernel"].points)
    by_kernel[point.parameters.at(0)][point.parameters.at(1)] = point.median();
  std::vector<double> all;
  // The last two probes are products of many rows.
  for (const auto& [kernel, times] : by_kernel)
    if ((kernel < 7) == memory_bound) all.push_back(std::max(0.0, times.at(1) / times.at(0) - 1));
  return median_of(all);
}

}  // namespace specmoe
