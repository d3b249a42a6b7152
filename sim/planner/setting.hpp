// One machine, one model in one precision, and the ways of running the one on the other.
#pragma once
#include <string>
#include <vector>

#include "sim/planner/question.hpp"
#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// Where the routed experts are during decoding, and who computes those that are not in GPU memory.
enum class Way {
  resident,   // all in GPU memory
  fetched,    // copied from host memory when missed; the GPU computes them
  shared,     // from host memory; the link and the CPU share what is missed
  on_cpu,     // some stay in GPU memory, the CPU computes the others where they are
  from_disk,  // read from the disk when missed, by way of host memory where there is any
};

/// One way of running: a strategy of a scenario, and the memory that it takes.
struct Candidate {
  Way way;
  /// The same for the same way on other machines.
  std::string name;
  /// Sections of a scenario's strategy, as one YAML map.
  std::string sections;
  /// Experts in GPU memory; and beside it in host memory and on the disk.
  Bytes gpu_experts, host, disk;
  /// Only of layers whose experts stay on the CPU; else 0.
  int cpu_layers = 0;
};

/// A machine and a model in one precision, with the ways that there is room for.
struct Setting {
  Formats precision;
  /// Has the candidates as strategies, in their order. Its requests are short, its cache sizes those of the question's.
  Scenario scenario;
  /// Of the question's context and batch.
  MemoryBill bill;
  Bytes all_experts;
  /// Free for experts; 0 where the machine has no such memory (one memory for CPU and GPU counts as the GPU's).
  Bytes host_free, disk_free;
  std::string host_name, disk_name;
  /// The experts that GPU memory has room for, a whole number of them; 0 or less if the rest alone does not fit.
  Bytes gpu_room;
  std::vector<Candidate> candidates;

  Bytes gpu_memory(const Candidate& candidate) const { return bill.taken() + candidate.gpu_experts; }
};

/// Tokens that trials decode, at most.
inline constexpr std::int64_t kTrialTokens = 64;
/// Generated routing where there is no profile of the model: of the values tried (zipf 0.4 to 1.2, reuse 0.1 to 0.3), those
/// whose hit rates are nearest to what the shipped profile of gpt-oss-20b gives on its own model, LRU with 20, 30, 50 % of
/// the experts 46, 59, 77 % (profile: 46, 64, 88), the most popular kept 54, 80 % with 20, 50 % (profile: 42, 79).
inline constexpr const char* kTypicalRouting = "{generate: {zipf: 1, reuse: 0.2, correlation: 0.2}}";
/// Share of the next layer's experts that its gate names rightly on the present hidden state: published of Qwen3-30B-A3B.
inline constexpr double kGateAccuracy = 0.886;

/// The model's own precision on the question's machine. @throws InputError as read_setting
Formats native_precision(const Question& question);

/// @param changes beside the question's
/// @throws InputError for a model, platform or change that is none, and a context or batch that no model has
Setting read_setting(const Question& question, Formats precision, const std::vector<Edit>& changes = {});

/// Where the routing of a setting comes from, in words.
std::string routing_of(const Setting& setting);

/// Of a machine on which a model does not fit in one precision: what is missing, e.g. "61.1 GB of experts need 36.6 GB of
/// host memory or disk; it has 16.0 GB", or the longest context that would fit. Empty if there are candidates.
std::string what_is_missing(const Question& question, const Setting& setting);

}  // namespace specmoe
