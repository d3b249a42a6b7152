#include "sim/study/conduct.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "sim/study/journal.hpp"

namespace specmoe {

namespace {
std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}
}  // namespace

Distribute on_this_machine(int jobs) {
  return [jobs](const Study& study, const Plan& plan, const Work& work) {
    std::vector<std::int64_t> given;
    run_isolated({[&]() -> IsolatedWork {
                    const std::int64_t run = work.next();
                    if (run < 0) return {};
                    given.push_back(run);
                    return [&, run] {
                      return simulate_run(study, plan, plan.runs[static_cast<std::size_t>(run)]).bytes();
                    };
                  },
                  [&](std::size_t i, const std::string& result) { work.ended(given[i], result); },
                  [&](std::size_t i, const std::exception_ptr& why) { work.failed(given[i], text_of(why)); },
                  work.tick},
                 jobs);
  };
}

StudyOutcome conduct(const Study& study, const Plan& plan, const Distribute& distribute,
                     const StudyOptions& options) {
  Journal journal(
      options.out / "journal",
      options.shards == 1 ? options.writer : fmt::format("shard-{}-of-{}", options.shard, options.shards));
  StudyOutcome outcome;
  std::vector<std::int64_t> left;
  std::unordered_set<std::uint64_t> wanted;
  double all = 0, done = 0;
  for (std::size_t i = 0; i < plan.runs.size(); ++i) {
    if (static_cast<int>(i % static_cast<std::size_t>(options.shards)) != options.shard) continue;
    ++outcome.runs;
    // Points may be the same scenario.
    if (journal.has(plan.runs[i].key) || !wanted.insert(plan.runs[i].key).second) {
      ++outcome.found;
      continue;
    }
    left.push_back(static_cast<std::int64_t>(i));
    all += plan.runs[i].weight;
  }
  if (options.say && outcome.found > 0)
    options.say(fmt::format("{} of {} runs are done already", outcome.found, outcome.runs));
  // The longest first, so that none is left for the end.
  const auto weight = [&](std::int64_t i) { return plan.runs[static_cast<std::size_t>(i)].weight; };
  std::stable_sort(left.begin(), left.end(),
                   [&](std::int64_t a, std::int64_t b) { return weight(a) > weight(b); });
  std::size_t given = 0;
  const auto tick = [&] {
    if (options.progress && all > 0) options.progress(done / all);
  };
  // Also where nothing is left: others may wait for work.
  distribute(study, plan,
             {[&] { return given < left.size() ? left[given++] : std::int64_t{-1}; },
              [&](std::int64_t run, const std::string& result) {
                journal.append(plan.runs[static_cast<std::size_t>(run)].key, result);
                ++outcome.simulated;
                done += weight(run);
              },
              [&](std::int64_t run, const std::string& why) {
                const StudyRun& r = plan.runs[static_cast<std::size_t>(run)];
                outcome.failures.push_back(
                    fmt::format("{}{}{}, replication {}: {}", study.label(static_cast<std::size_t>(r.point)),
                                study.label(static_cast<std::size_t>(r.point)).empty() ? "" : ", ",
                                plan.strategies[static_cast<std::size_t>(r.strategy)], r.replication, why));
                done += weight(run);
              },
              tick});
  return outcome;
}

}  // namespace specmoe
