// Rows and labels of what a machine did, the same in every timeline: a row a stream, a link direction and a disk.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "models/hardware/platform.hpp"

namespace specmoe {

/// Streams have their own indices as rows, from 0.
inline constexpr int kFirstLinkRow = 1000, kFirstDiskRow = 2000;

inline int row_of(const Hop& hop) { return kFirstLinkRow + 2 * hop.link + (hop.forward ? 0 : 1); }
inline int row_of_disk(MemoryId disk) { return kFirstDiskRow + disk.index; }

/// Rows of the platform's link directions and their names, "pcie: dram -> vram".
std::vector<std::pair<int, std::string>> link_rows(const Platform& platform);

/// "expert L3 E17"; a layer or an expert below 0 is none.
std::string span_label(const char* name, int layer, int expert);

}  // namespace specmoe
