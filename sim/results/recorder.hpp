// What a run records: per step and per layer into HDF5 as it goes, totals in memory, and on request a timeline.
//
// results.h5 ("specmoe-results" version 1):
//   /                      attributes: format, version, specmoe, simgrid, scenario, description, file (the scenario's, from
//                          here), platform, model, routing, seed, fingerprint (of all that the results depend on)
//   /scenario              text: the scenario file as read
//   /notes                 text [note]
//   /unverified            text [number]: numbers of the platform without a verified source
//   /runs/<strategy>       attributes: position, and the numbers of RunSummary under the same names
//     /steps/phase         int16 [step]: 0 prefill, 1 decode
//     /steps/{sequences,tokens,routed,accesses,hits,misses,prefetch_requested,prefetch_issued,prefetch_useful,
//             prefetch_late,prefetch_useless,prefetch_dropped,misses_on_cpu,misses_skipped,low_pairs,skipped_pairs,
//             host_hits,host_misses,evictions,demand_bytes,prefetch_bytes,disk_bytes}   int64 [step]; see Counters
//     /steps/{start,duration,critical_path,exposed_stall,expert_wait,predictor}       float64 [step], s; predictor: the
//                          kernels of its network that ended since the step before
//     /steps/energy        float64 [step], J: what was drawn since the step before ended; NaN for a platform without power
//     /layers/duration     float32 [step, block], s: from the end of the block before; 0 where a block did not run
//     /layers/{accesses,hits}   int32 [step, MoE layer]
//     /links/{name,direction}   text [link direction]; disks come last, with direction "disk"
//     /links/{bytes,copies}     int64 [link direction]
//     /links/{busy,utilisation} float64 [link direction]; s, and share of the run
//     /links/energy             float64 [link direction], J: what the bytes added to what the devices drew; NaN where the
//                          platform does not say
//     /memories/{name,bytes,energy}   text, int64, float64 [memory]: read and written by copies and kernels; J as of links
//     /energy/{name,idle,total} text, float64 [device], J: what it drew, and would have drawn without a kernel; nothing for a
//                          platform without power
//     /streams/name             text [stream]; kernels int64; busy, utilisation float64 as for links
//     /memory/{name,bytes}      text, int64 [item of GPU memory]
//     /timeline/rows/{name,kind}   text [row]; kind is stream, link or disk
//     /timeline/labels             text [label], "expert L3 E17"
//     /timeline/steps/{step,phase,first,count,all}   int64, phase int16 [kept step]: index in /steps; its spans are
//                          first .. first + count - 1 of `all` that it had
//     /timeline/steps/{start,duration}   float64 [kept step], s
//     /timeline/spans/{row,label,bytes}   int16, int32, int64 [span]; of a kernel its memory traffic
//     /timeline/spans/{start,duration}    float32 [span], s; from the step's start, which a copy may precede
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/h5.hpp"
#include "sim/engine/engine.hpp"
#include "sim/machine/machine.hpp"
#include "sim/results/energy.hpp"
#include "sim/results/step_spans.hpp"
#include "sim/results/summary.hpp"
#include "sim/results/timeline.hpp"
#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// Writes a run's results while it goes on.
class Recorder : public EngineObserver, public MachineObserver {
 public:
  /// @param file is emptied and takes one run, at "/".
  Recorder(const std::filesystem::path& file, const Scenario& scenario, const Strategy& strategy,
           Timeline* timeline);
  /// Counts totals alone, without a file.
  Recorder(const Scenario& scenario, const Strategy& strategy);
  ~Recorder() override;

  void step_ended(const StepRecord& step) override;
  void run_ended(std::int64_t useless, Bytes cache_peak) override;
  void stream_opened(Stream stream, DeviceId device, const std::string& name) override;
  void kernel_ended(Stream stream, const Kernel& kernel, Seconds start, Seconds end) override;
  void copy_ended(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
                  Seconds end) override;

  /// Writes totals, links, streams, memory and energy, and closes the datasets.
  RunSummary finish(const SimulationEnd& end);
  /// Of every decode step so far, s.
  const std::vector<double>& decode_durations() const { return decode_durations_; }

 private:
  struct Columns;
  void write_columns(const StepRecord& step, double energy);
  void write_totals(const SimulationEnd& end);
  struct LinkUse {
    std::int64_t bytes = 0, copies = 0;
    double busy = 0;
  };
  struct StreamUse {
    std::string name;
    DeviceId device;
    std::int64_t kernels = 0;
    double busy = 0;
  };

  const Scenario& scenario_;
  const Strategy& strategy_;
  Timeline* timeline_ = nullptr;
  std::optional<StepSpans> spans_;  // where there is a file
  std::optional<H5File> file_;
  std::unique_ptr<Columns> columns_;
  RunSummary summary_;
  // Sums over decode steps.
  std::vector<double> decode_durations_;
  double decode_time_ = 0, token_time_ = 0, stall_ = 0, wait_ = 0, path_ = 0, predictor_time_ = 0,
         decode_energy_ = 0;
  std::int64_t decode_routed_ = 0, decode_accesses_ = 0, decode_hits_ = 0, decode_late_ = 0;
  // Dates of the batch whose prompts are being computed, and what each request has waited for its first token, s.
  bool in_prefill_ = false;
  std::vector<double> first_tokens_;
  double batch_start_ = 0;
  double predictor_ = 0;  // kernels since the last step
  EnergyUse energy_;
  double energy_before_ = 0;  // all that was drawn until the last step's end
  Bytes cache_peak_;
  std::vector<StreamUse> streams_;
  std::vector<LinkUse> links_;  // [2 * link + (forward ? 0 : 1)], then [memory] for disks
};

}  // namespace specmoe
