#include "sim/scenario/memory_bill.hpp"

#include <fmt/format.h>

namespace specmoe {

Bytes MemoryBill::taken() const {
  Bytes sum;
  for (const auto& [name, bytes] : items) sum += bytes;
  return sum;
}

std::string gigabytes(Bytes bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes.count) * 1e-9);
}

MemoryBill memory_bill(const Platform& platform, DeviceId gpu, const MoeModel& model,
                       const WorkloadPeak& peak, Bytes workspace) {
  const Memory& memory = platform[platform[gpu].memory];
  return {{{"weights", model.resident_bytes()},
           {"kv_cache", model.kv_bytes(peak.longest)},
           {"activations", model.activation_bytes(peak.step_tokens, peak.sequences)},
           {"workspace", workspace},
           {"reserved", memory.reserved}},
          memory.capacity};
}

}  // namespace specmoe
