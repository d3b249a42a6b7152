// The answer to a question: the memory bill, the best way at each precision, which of them to take, what holds it up and
// what would help.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/planner/accuracy.hpp"
#include "sim/planner/flags.hpp"
#include "sim/planner/question.hpp"
#include "sim/planner/setting.hpp"
#include "sim/planner/trial.hpp"

namespace specmoe {

/// The best way at one precision.
struct Row {
  Formats precision;
  Candidate candidate;
  Trial trial;
  /// s to the first token after a prompt of context - output.
  double ttft;
  Bytes gpu_memory;
};

/// What tokens a second become if something of the machine is otherwise.
struct Upgrade {
  std::string what;
  double tokens_per_second, gain;
  /// The best way then.
  std::string way;
};

/// A batch that gives more tokens a second.
struct BatchAdvice {
  std::int64_t batch;
  double tokens_per_second;
};

/// What is answered to a question, for the text and the JSON alike.
struct Advice {
  Question question;
  std::string model, platform, routing;
  /// What a user should know before believing it.
  std::vector<std::string> notes;
  Formats native;
  /// By falling precision; those that have no room are only named.
  std::vector<Row> rows;
  std::vector<Formats> without_room;
  /// In `rows`; none if there are none.
  std::optional<std::size_t> best;
  /// Why that one.
  std::string reason;
  /// At the precision of the best, or at the least where nothing has room.
  Setting setting;
  /// Nothing runs: why.
  std::string missing;
  std::optional<PublishedErrors::Answer> errors;
  /// The greatest gain first.
  std::vector<Upgrade> upgrades;
  /// Of batches of powers of two up to 128, as far as memory reaches, the one with the most tokens a second; only where the
  /// question names no batch.
  std::optional<BatchAdvice> best_batch;
  std::vector<EngineFlags> flags;

  bool feasible() const { return best.has_value(); }
};

/// How an answer is found.
struct AdviceOptions {
  int jobs = 1;
  std::filesystem::path errors = PublishedErrors::file();
  /// Hears of what is being done.
  std::function<void(const std::string&)> say;
};

/// Tries every candidate of every precision for a few tokens and those of each that come near to
/// the fastest for more.
/// @throws InputError for questions that have no answer; that nothing fits is an answer
Advice advise(const Question& question, const AdviceOptions& options);

/// A precision that may be recommended, and how fast it is.
struct Offer {
  Formats precision;
  double tokens_per_second;
};
/// With a target the highest precision that reaches it, or else the fastest of 4 bits or more, as without one; there the
/// native precision goes before if it is within 15 % of the fastest. Below 4 bits only where nothing else has room.
/// @param offers by falling precision, at least one @return index and why
std::pair<std::size_t, std::string> recommend(const std::vector<Offer>& offers, Formats native,
                                              std::optional<double> target);

/// The class of published runs that a row is like: gpu, link, cpu (three in four experts or more), hybrid, disk.
std::string error_class(const Row& row);

std::string advice_text(const Advice& advice);
/// {"feasible", "answer", "model", "platform", "routing", "context", "output", "batch", "bill": B by item, "rows": [...],
/// "recommended": index in rows or null, "interval", "bottleneck", "upgrades", "best_batch", "flags", "notes"}. s, B, J,
/// tokens a second; null where there is nothing.
std::string advice_json(const Advice& advice);

/// In one sentence.
std::string answer_of(const Advice& advice);
std::string describe(Resource resource);

}  // namespace specmoe
