// A study.h5 small enough to check by hand.
#pragma once
#include <filesystem>
#include <string>

namespace specmoe {

/// Strategies "base" and "fast <b>" (s = 1, 2), two replications (r = 0, 1). "grid": points p = 0 .. 3 are batches 1 and
/// 4 by caches of 25 and 50 % of the experts; "one-at-a-time": p = 0 the base, 1 and 2 the same with half and twice
/// its links.pcie. Of each run tokens_per_second = 10 (p + 1) s + r, peak_gpu_memory = (10 + p) GB, and three decode
/// steps of 1, 2 and 3 ms times s. All have a critical path of 10 ms, 20 ms of waiting for experts and 5 ms of other stalls. Intervals are the mean -+ 1. "fast <b>" was refused at the last point in
/// replication 1. Energy, prices and the time to the first token are unknown: NaN.
void write_small_study(const std::filesystem::path& file, const std::string& design);

}  // namespace specmoe
