#include "sim/engine/expert_kernels.hpp"

#include <algorithm>

namespace specmoe {

ExpertKernels::ExpertKernels(const Platform& platform, const MoeModel& model, const EngineSettings& settings)
    : settings_(settings),
      model_(model),
      low_(model.with_expert_format(settings.miss.format.value_or(model.expert_format))),
      prices_(platform, settings.gpu) {}

Seconds ExpertKernels::time_of(const std::vector<Kernel>& kernels) {
  Seconds sum;
  for (const Kernel& kernel : kernels) sum += prices_.time(kernel);
  return sum;
}

Bytes ExpertKernels::low_bytes(Bytes full) const {
  if (!settings_.miss.format) return {};
  return std::min(full, low_.expert_bytes());
}

Seconds ExpertKernels::resident_time(int block, const std::vector<ExpertUse>& uses) {
  if (uses.empty()) return {};
  return std::min(grouped_time(block, uses), single_time(block, uses));
}

bool ExpertKernels::is_grouped(int block, const std::vector<ExpertUse>& uses) {
  if (settings_.grouped == Grouping::never || uses.size() < 2) return false;
  return settings_.grouped == Grouping::always || grouped_is_faster(block, uses);
}

// Many rows an expert fill tiles of their own; few are better off in one launch. As an engine that has timed both
// on its device would choose; the host's launches count where they take longer than the kernels.
bool ExpertKernels::grouped_is_faster(int block, const std::vector<ExpertUse>& uses) {
  const MoeModel& model = in(uses.front().precision);
  const auto groups = std::ssize(uses);
  const Seconds one_by_one = launches_of(model.one_expert(block, 0, 1)) * static_cast<double>(groups);
  const Seconds together = launches_of(model.grouped_experts(block, groups, rows_of(uses)));
  return std::max(grouped_time(block, uses), together) <= std::max(single_time(block, uses), one_by_one);
}

Seconds ExpertKernels::launches_of(const std::vector<Kernel>& kernels) {
  Seconds sum;
  for (const Kernel& kernel : kernels) sum += prices_.price(kernel).launch;
  return sum;
}

std::int64_t ExpertKernels::rows_of(const std::vector<ExpertUse>& uses) {
  std::int64_t rows = 0;
  for (const ExpertUse& use : uses) rows += use.rows;
  return rows;
}

Seconds ExpertKernels::single_time(int block, const std::vector<ExpertUse>& uses) {
  Seconds sum;
  for (const ExpertUse& use : uses) {
    const auto [known, added] = single_times_.try_emplace({use.precision, use.rows});
    if (added) known->second = time_of(one(block, use));
    sum += known->second;
  }
  return sum;
}

Seconds ExpertKernels::grouped_time(int block, const std::vector<ExpertUse>& uses) {
  const Precision precision = uses.front().precision;
  const auto groups = std::ssize(uses);
  const auto [known, added] = grouped_times_.try_emplace({precision, groups, rows_of(uses)});
  if (added) known->second = time_of(in(precision).grouped_experts(block, groups, rows_of(uses)));
  return known->second;
}

}  // namespace specmoe
