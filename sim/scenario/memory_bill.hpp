// Where GPU memory goes.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "models/hardware/platform.hpp"
#include "models/moe/model.hpp"
#include "sim/base/units.hpp"
#include "sim/engine/workload.hpp"

namespace specmoe {

/// The item of a predictor's network, which strategies without one have for experts.
inline constexpr const char* kPredictorItem = "predictor";

/// All that must be in GPU memory at once, item by item; what is left is the expert cache's.
struct MemoryBill {
  /// weights, kv_cache, activations, workspace, reserved; predictor, where one is charged.
  std::vector<std::pair<std::string, Bytes>> items;
  Bytes available;  // of the memory, in all

  Bytes taken() const;
  /// What remains for the expert cache; negative when the items alone do not fit.
  Bytes rest() const { return available - taken(); }
};

/// "25.74 GB"
std::string gigabytes(Bytes bytes);

/// @param workspace scratch memory of the kernels' libraries.
MemoryBill memory_bill(const Platform& platform, DeviceId gpu, const MoeModel& model,
                       const WorkloadPeak& peak, Bytes workspace);

}  // namespace specmoe
