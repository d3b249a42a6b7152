// FreeToken (arXiv 2608.16157, 3.1 to 3.3; read second-hand, in fak #11038 and colibri #1202): of m misses, m * link / (link + cpu) are loaded and the CPU computes the
// others, where link and cpu are the bytes of weights a second that each gets through while both are at it: so both
// end together. FreeToken measures the two beside each other; here each takes what it would alone, and where the
// host's memory has less than both want, each gets its fair share of that. Rounded to the nearest; the experts with
// the most rows are loaded, since a row costs the CPU more than the GPU.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/policies/placement.hpp"

namespace specmoe {

std::vector<bool> place_split(std::span<const MissedExpert> misses, const PlacementContext& context) {
  Seconds transfer, cpu;
  Bytes bytes;
  for (const MissedExpert& miss : misses) {
    transfer += miss.transfer;
    cpu += miss.cpu;
    bytes += miss.bytes;
  }
  std::vector<bool> on_cpu(misses.size(), false);
  if (misses.empty() || transfer <= Seconds{0} || cpu <= Seconds{0}) return on_cpu;
  const auto all = static_cast<double>(bytes.count);
  double link_rate = all / transfer.value, cpu_rate = all / cpu.value;
  const double memory = context.host_memory.value;
  if (link_rate + cpu_rate > memory) {
    double& slower = link_rate < cpu_rate ? link_rate : cpu_rate;
    double& faster = link_rate < cpu_rate ? cpu_rate : link_rate;
    slower = std::min(slower, memory / 2);
    faster = memory - slower;
  }
  const auto loads = static_cast<std::size_t>(
      std::lround(static_cast<double>(misses.size()) * link_rate / (link_rate + cpu_rate)));
  std::vector<std::size_t> order(misses.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return misses[a].rows > misses[b].rows; });
  for (std::size_t i = loads; i < order.size(); ++i) on_cpu[order[i]] = true;
  return on_cpu;
}

}  // namespace specmoe
