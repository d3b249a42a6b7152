// A study's results in one HDF5 file and one CSV, which need none of our code to be read.
//
// study.h5 ("specmoe-study" version 1):
//   /                        attributes: format, version, specmoe, simgrid, study, description, replications,
//                            design ("grid", or "one-at-a-time" where the only axis is of that kind), baseline (a text)
//   /study, /scenario        text [1]: the files as read
//   /axes/{name,path}        text [axis]; path "" where an axis changes several keys
//   /points/{label,platform,model}     text [point]
//   /points/batch            int64 [point]; capacity_share (of all experts' bytes, its first strategy's) and price (USD)
//                            float64 [point], NaN where unknown
//   /points/values/<axis>    text [point]; /points/numbers/<axis> float64 [point] in base units, NaN of a text
//   /points/changed          text [point], /points/factor float64 [point]: of design one-at-a-time; "" and NaN at the base
//   /runs/{point,replication,seed}     int64 [run]; strategy text [run]
//   /runs/<number>           float64 [run]: each number of RunSummary (summary.hpp) under its name
//   /decode_steps/{first,count}        int64 [run]: where its steps stand in
//   /decode_steps/duration   float32 [step of all runs], s
//   /cells/point             int64 [cell]; strategy, refused (why it cannot run; "" if it can) text [cell]
//   /cells/{tpot,ttft,tokens_per_second,hit_rate,energy_per_token,peak_gpu_memory,gain,effect}{,_low,_high}   float64 [cell]; see CellSummary; p
#pragma once
#include <filesystem>

#include "sim/study/cells.hpp"
#include "sim/study/journal.hpp"
#include "sim/study/plan.hpp"

namespace specmoe {

/// Writes study.h5 and runs.csv (a line a run) into the folder, each whole or not at all. Keeps of the runs no more than
/// a chunk of each column and their strategies' names.
/// @throws std::logic_error if the journal lacks a run
std::vector<CellSummary> collect(const Study& study, const Plan& plan, const Journal& journal,
                                 const std::filesystem::path& folder);

}  // namespace specmoe
