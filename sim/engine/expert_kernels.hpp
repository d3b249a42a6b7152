// The GPU's kernels of a layer's experts: one by one or in grouped launches, in full or low precision.
#pragma once
#include <map>
#include <vector>

#include "models/hardware/kernel_price.hpp"
#include "sim/engine/engine.hpp"

namespace specmoe {

/// Chooses how a layer's experts are launched: one by one, or grouped.
class ExpertKernels {
 public:
  ExpertKernels(const Platform& platform, const MoeModel& model, const EngineSettings& settings);

  /// @param uses of one layer, none of them skipped. `launch` is called with the kernels in order.
  template <class Launch>
  void for_each(int block, const std::vector<ExpertUse>& uses, Launch&& launch) {
    for (const Precision precision : {Precision::full, Precision::low}) {
      same_.clear();
      for (const ExpertUse& use : uses)
        if (use.precision == precision) same_.push_back(use);
      if (is_grouped(block, same_)) {
        launch(in(precision).grouped_experts(block, std::ssize(same_), rows_of(same_)));
      } else {
        for (const ExpertUse& use : same_) launch(one(block, use));
      }
    }
  }
  std::vector<Kernel> one(int block, const ExpertUse& use) const {
    return in(use.precision).one_expert(block, use.expert, use.rows);
  }
  /// All of them resident, in full: the same for every strategy.
  Seconds resident_time(int block, const std::vector<ExpertUse>& uses);
  Seconds time_of(const std::vector<Kernel>& kernels);
  /// Bytes of an expert's low-precision copy where it has `full` bytes; 0 where there are no such copies.
  Bytes low_bytes(Bytes full) const;
  const MoeModel& in(Precision precision) const { return precision == Precision::low ? low_ : model_; }

  static std::int64_t rows_of(const std::vector<ExpertUse>& uses);

 private:
  bool is_grouped(int block, const std::vector<ExpertUse>& uses);
  bool grouped_is_faster(int block, const std::vector<ExpertUse>& uses);
  Seconds launches_of(const std::vector<Kernel>& kernels);
  Seconds single_time(int block, const std::vector<ExpertUse>& uses);
  Seconds grouped_time(int block, const std::vector<ExpertUse>& uses);

  const EngineSettings& settings_;
  const MoeModel& model_;
  MoeModel low_;  // without low-precision copies as model_
  KernelPrices prices_;
  std::vector<ExpertUse> same_;
  // All routed experts of one precision have one shape, so their times are known by the number of rows (and groups).
  std::map<std::pair<Precision, std::int64_t>, Seconds> single_times_;
  std::map<std::tuple<Precision, std::int64_t, std::int64_t>, Seconds> grouped_times_;
};

}  // namespace specmoe
