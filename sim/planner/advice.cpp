#include "sim/planner/advice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <numeric>

#include "sim/base/input_error.hpp"
#include "sim/planner/upgrades.hpp"

namespace specmoe {

namespace {

// Tokens of a first trial, which tells the slow ones from the rest, and of what is shown.
constexpr std::int64_t kShort = 16, kLong = kTrialTokens;
// What comes so near to the fastest in the first trial may be as fast in the second.
constexpr double kNear = 0.9;
constexpr std::int64_t kMostBatch = 128;

struct Found {
  std::size_t candidate;
  Trial trial;
};

// The candidates of a setting, or those of them with one of the names, the fastest first.
std::vector<std::vector<Found>> try_all(const Question& question, const std::deque<Setting>& settings,
                                        std::int64_t tokens, int jobs,
                                        const std::vector<std::vector<std::size_t>>& chosen) {
  Trials trials(jobs);
  for (std::size_t s = 0; s < settings.size(); ++s)
    for (const std::size_t c : chosen[s]) trials.add_decode(question, settings[s], c, tokens);
  const std::vector<Trial> results = trials.run();
  std::vector<std::vector<Found>> found(settings.size());
  std::size_t at = 0;
  for (std::size_t s = 0; s < settings.size(); ++s) {
    for (const std::size_t c : chosen[s]) found[s].push_back({c, results[at++]});
    std::stable_sort(found[s].begin(), found[s].end(), [](const Found& a, const Found& b) {
      return a.trial.tokens_per_second > b.trial.tokens_per_second;
    });
  }
  return found;
}

std::vector<std::size_t> all_of(const Setting& setting) {
  std::vector<std::size_t> all(setting.candidates.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

std::vector<std::size_t> named(const Setting& setting, const std::vector<std::string>& names) {
  std::vector<std::size_t> chosen;
  for (std::size_t c = 0; c < setting.candidates.size(); ++c) {
    const Candidate& candidate = setting.candidates[c];
    if (candidate.way == Way::resident || candidate.cpu_layers > 0 ||
        std::find(names.begin(), names.end(), candidate.name) != names.end())
      chosen.push_back(c);
  }
  // A machine on which none of them runs any more may have others.
  return chosen.empty() ? all_of(setting) : chosen;
}

std::vector<Upgrade> try_upgrades(const Question& question, const Setting& setting, double base,
                                  const std::vector<std::string>& names, int jobs) {
  struct Machine {
    std::string what;
    Question question;
    Setting setting;
    std::vector<std::size_t> chosen;
  };
  std::deque<Machine> machines;
  for (BetterMachine& better : better_machines(question, setting)) {
    Setting its = read_setting(better.question, setting.precision, better.changes);
    std::vector<std::size_t> chosen = named(its, names);
    machines.push_back(
        {std::move(better.what), std::move(better.question), std::move(its), std::move(chosen)});
  }
  Trials trials(jobs);
  for (const Machine& machine : machines)
    for (const std::size_t c : machine.chosen) trials.add_decode(machine.question, machine.setting, c, kLong);
  const std::vector<Trial> results = trials.run();
  std::vector<Upgrade> upgrades;
  std::size_t at = 0;
  for (const Machine& machine : machines) {
    Upgrade best{machine.what, 0, 0, ""};
    for (const std::size_t c : machine.chosen) {
      const double speed = results[at++].tokens_per_second;
      if (speed > best.tokens_per_second)
        best = {machine.what, speed, speed / base, machine.setting.candidates[c].name};
    }
    if (best.tokens_per_second > 0) upgrades.push_back(std::move(best));
  }
  std::stable_sort(upgrades.begin(), upgrades.end(),
                   [](const Upgrade& a, const Upgrade& b) { return a.gain > b.gain; });
  return upgrades;
}

std::optional<BatchAdvice> try_batches(const Question& question, const Setting& setting, double base,
                                       const std::vector<std::string>& names, int jobs) {
  struct Batch {
    Question question;
    Setting setting;
    std::vector<std::size_t> chosen;
  };
  std::deque<Batch> batches;
  for (std::int64_t batch = 2; batch <= kMostBatch; batch *= 2) {
    Question more = question;
    more.batch = batch;
    Setting its = read_setting(more, setting.precision);
    if (its.candidates.empty()) break;
    std::vector<std::size_t> chosen = named(its, names);
    batches.push_back({std::move(more), std::move(its), std::move(chosen)});
  }
  // Long and short steps side by side: the longest first.
  std::reverse(batches.begin(), batches.end());
  Trials trials(jobs);
  for (const Batch& batch : batches)
    for (const std::size_t c : batch.chosen) trials.add_decode(batch.question, batch.setting, c, kShort / 2);
  BatchAdvice best{1, base};
  const std::vector<Trial> results = trials.run();
  std::size_t at = 0;
  for (const Batch& batch : batches)
    for (std::size_t c = 0; c < batch.chosen.size(); ++c)
      if (const double speed = results[at++].tokens_per_second; speed > best.tokens_per_second)
        best = {*batch.question.batch, speed};
  return best;
}

}  // namespace

Advice advise(const Question& question, const AdviceOptions& options) {
  const auto say = [&](const std::string& what) {
    if (options.say) options.say(what);
  };
  say("reading");
  const Formats native = native_precision(question);
  Setting lowest = read_setting(question, native);
  const Platform& machine = lowest.scenario.platform;
  const bool fp8 = machine[machine.first(Device::Kind::gpu)].peak.contains(WeightFormat::fp8);
  std::deque<Setting> settings;
  std::vector<Formats> without_room;
  for (const Formats precision : precisions_below(native, fp8)) {
    lowest = read_setting(question, precision);
    if (lowest.candidates.empty())
      without_room.push_back(precision);
    else
      settings.push_back(lowest);
  }
  Advice advice{question,
                lowest.scenario.model.name,
                lowest.scenario.platform.name,
                routing_of(lowest),
                lowest.scenario.notes,
                native,
                {},
                std::move(without_room),
                {},
                "",
                lowest,
                what_is_missing(question, lowest),
                {},
                {},
                {},
                {}};
  if (settings.empty()) return advice;

  say("trying all ways");
  std::vector<std::vector<std::size_t>> chosen;
  for (const Setting& setting : settings) chosen.push_back(all_of(setting));
  auto found = try_all(question, settings, kShort, options.jobs, chosen);
  say("trying the best longer");
  for (std::size_t s = 0; s < settings.size(); ++s) {
    chosen[s].clear();
    const double enough = kNear * found[s].front().trial.tokens_per_second;
    for (const Found& each : found[s])
      if (chosen[s].size() < 2 || each.trial.tokens_per_second >= enough) chosen[s].push_back(each.candidate);
  }
  found = try_all(question, settings, kLong, options.jobs, chosen);
  say("prompts");
  Trials trials(options.jobs);
  for (std::size_t s = 0; s < settings.size(); ++s)
    trials.add_first_token(question, settings[s], found[s].front().candidate);
  const std::vector<Trial> first_tokens = trials.run();
  std::vector<Offer> offers;
  for (std::size_t s = 0; s < settings.size(); ++s) {
    const Candidate& candidate = settings[s].candidates[found[s].front().candidate];
    advice.rows.push_back({settings[s].precision, candidate, found[s].front().trial, first_tokens[s].tpot,
                           settings[s].gpu_memory(candidate)});
    offers.push_back({settings[s].precision, found[s].front().trial.tokens_per_second});
  }
  std::tie(advice.best, advice.reason) = recommend(offers, native, question.target);
  const Row& best = advice.rows[*advice.best];
  advice.setting = settings[*advice.best];
  advice.missing.clear();
  advice.errors = PublishedErrors::load(options.errors).of(error_class(best));

  if (question.sequences() == 1 && best.trial.bottleneck() == Resource::gpu_arithmetic)
    advice.notes.push_back(
        "one sequence is bound by the GPU's arithmetic here: this platform's kernels pad one row to a tile; "
        "kernels "
        "made for one row do not, and may be faster");
  std::vector<std::string> names;
  const auto& ranked = found[*advice.best];
  for (std::size_t i = 0; i < std::min<std::size_t>(2, ranked.size()); ++i)
    names.push_back(advice.setting.candidates[ranked[i].candidate].name);
  const double speed = best.trial.tokens_per_second;
  say("trying better machines");
  advice.upgrades = try_upgrades(question, advice.setting, speed, names, options.jobs);
  advice.flags = flags_for(question, advice.setting, best.candidate, native);
  for (EngineFlags& flags : advice.flags)
    if (flags.like) trials.add_decode(question, advice.setting, *flags.like, kLong);
  const std::vector<Trial> likes = trials.run();
  std::size_t like = 0;
  for (EngineFlags& flags : advice.flags)
    if (flags.like) flags.tokens_per_second = likes[like++].tokens_per_second;
  if (!question.batch) {
    say("trying batches");
    advice.best_batch = try_batches(question, advice.setting, speed, names, options.jobs);
  }
  return advice;
}

}  // namespace specmoe
