// Runs what is left of a study and collects it.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "sim/study/plan.hpp"

namespace specmoe {

/// The numbers of runs to simulate, and who wants to hear of them. Whoever distributes asks for runs one after another
/// and reports each.
struct Work {
  /// @return a number of Plan::runs, or -1 when there are no more
  std::function<std::int64_t()> next;
  std::function<void(std::int64_t run, const std::string& result)> ended;
  std::function<void(std::int64_t run, const std::string& why)> failed;
  /// Called about twice a second.
  std::function<void()> tick;
};
using Distribute = std::function<void(const Study&, const Plan&, const Work&)>;

/// A process for each simulation, so many at a time, on this machine.
Distribute on_this_machine(int jobs);

/// How a study is conducted.
struct StudyOptions {
  std::filesystem::path out;
  /// Under which the journal is written: of several processes with one folder, each needs its own.
  std::string writer = "study";
  /// Of `shards` equal parts of the runs this one alone, and no collecting.
  int shard = 0, shards = 1;
  std::function<void(const std::string&)> say;
  /// Hears of the share of the work that is done.
  std::function<void(double)> progress;
};

/// What became of a study's runs.
struct StudyOutcome {
  std::size_t runs = 0;
  /// Of these, found in the journal; simulated now; and those whose process failed, with why.
  std::size_t found = 0, simulated = 0;
  std::vector<std::string> failures;
};

/// Simulates the runs whose results are not in the journal of `out` yet.
StudyOutcome conduct(const Study& study, const Plan& plan, const Distribute& distribute,
                     const StudyOptions& options);

}  // namespace specmoe
