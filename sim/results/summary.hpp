// Totals of a run, as results.h5 keeps them and every report shows them.
#pragma once
#include <string>

#include "sim/base/h5.hpp"
#include "sim/base/units.hpp"
#include "sim/engine/engine.hpp"

namespace specmoe {

/// Times in s, bytes in B, energies in J; NaN where there was nothing to measure.
struct RunSummary {
  double total_time = 0;
  /// Mean over requests: from the start of its batch to its first token.
  double ttft = 0;
  /// The 50th and 99th percentile of the same.
  double ttft_p50 = 0, ttft_p99 = 0;
  /// Mean over decoded tokens of the duration of their step; and percentiles over decode steps.
  double tpot = 0, tpot_p50 = 0, tpot_p95 = 0, tpot_p99 = 0;
  /// Decoded tokens a second of decoding.
  double tokens_per_second = 0;
  /// Of accesses in decode, and in all steps.
  double hit_rate = 0, hit_rate_all = 0;
  /// Of accesses in decode, the hits whose prefetch had not ended when it was needed.
  double late_rate = 0;
  /// Of (token, expert) pairs in decode, those that shared the access of another token of their step.
  double deduplicated = 0;
  /// Mean a decode step: duration beyond the critical path; the part of it that waited for experts; the path
  /// itself.
  double exposed_stall = 0, expert_wait = 0, critical_path = 0;
  double gpu_utilisation = 0;
  /// Mean a decode step of the kernels of the predictor's network, wherever they run; and as a share of the step.
  double predictor_time = 0, predictor_share = 0;
  /// Of the whole run: devices, and links and memories as far as the platform knows them.
  double energy = 0;
  /// A decoded token, of decoding alone.
  double energy_per_token = 0;
  Bytes peak_gpu_memory, cache_capacity;
  std::int64_t steps = 0, decoded_tokens = 0, activities = 0;
  Counters counters;
};

/// A field of the summary as a number, bytes as their count.
inline double as_number(double field) { return field; }
inline double as_number(std::int64_t field) { return static_cast<double>(field); }
inline double as_number(Bytes field) { return static_cast<double>(field.count); }

/// Calls visit(name, field) for every number of the summary; field is a double, std::int64_t or Bytes.
template <class Summary, class Visit>
void for_each_field(Summary& s, Visit&& visit) {
  visit("total_time", s.total_time);
  visit("ttft", s.ttft);
  visit("ttft_p50", s.ttft_p50);
  visit("ttft_p99", s.ttft_p99);
  visit("tpot", s.tpot);
  visit("tpot_p50", s.tpot_p50);
  visit("tpot_p95", s.tpot_p95);
  visit("tpot_p99", s.tpot_p99);
  visit("tokens_per_second", s.tokens_per_second);
  visit("hit_rate", s.hit_rate);
  visit("hit_rate_all", s.hit_rate_all);
  visit("late_rate", s.late_rate);
  visit("deduplicated", s.deduplicated);
  visit("exposed_stall", s.exposed_stall);
  visit("expert_wait", s.expert_wait);
  visit("critical_path", s.critical_path);
  visit("gpu_utilisation", s.gpu_utilisation);
  visit("predictor_time", s.predictor_time);
  visit("predictor_share", s.predictor_share);
  visit("energy", s.energy);
  visit("energy_per_token", s.energy_per_token);
  visit("peak_gpu_memory", s.peak_gpu_memory);
  visit("cache_capacity", s.cache_capacity);
  visit("steps", s.steps);
  visit("decoded_tokens", s.decoded_tokens);
  visit("activities", s.activities);
  visit("routed", s.counters.routed);
  visit("accesses", s.counters.accesses);
  visit("hits", s.counters.hits);
  visit("misses", s.counters.misses);
  visit("prefetch_requested", s.counters.requested);
  visit("prefetch_issued", s.counters.issued);
  visit("prefetch_useful", s.counters.useful);
  visit("prefetch_late", s.counters.late);
  visit("prefetch_useless", s.counters.useless);
  visit("prefetch_dropped", s.counters.dropped);
  visit("misses_on_cpu", s.counters.on_cpu);
  visit("misses_skipped", s.counters.skipped);
  visit("low_pairs", s.counters.low_pairs);
  visit("skipped_pairs", s.counters.skipped_pairs);
  visit("host_hits", s.counters.host_hits);
  visit("host_misses", s.counters.host_misses);
  visit("evictions", s.counters.evictions);
  visit("demand_bytes", s.counters.demand_bytes);
  visit("prefetch_bytes", s.counters.prefetch_bytes);
  visit("disk_bytes", s.counters.disk_bytes);
}

/// As attributes of a group.
void write_summary(H5File& file, const std::string& group, const RunSummary& summary);
RunSummary read_summary(const H5File& file, const std::string& group);

}  // namespace specmoe
