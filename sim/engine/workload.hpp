// What is asked of the engine: requests in batches, as a sequence of steps that does not depend on time.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "models/moe/model.hpp"
#include "models/moe/routing/routing.hpp"
#include "sim/policies/eviction.hpp"
#include "sim/policies/predictor.hpp"

namespace specmoe {

/// Static batching: `batch` requests start together, are prefilled in chunks and decoded until each is done; then
/// the next batch starts.
struct Workload {
  std::int64_t first_request = 0, requests = 1, batch = 1;
  /// Without prefill the decode rows run alone, on a KV cache that is already there.
  bool prefill = true;
  /// A prefill step computes at most so many prompt tokens, as engines do to bound activations; encoders take all.
  std::int64_t prefill_chunk = 2048;
  /// At most so many decoded tokens a request.
  std::optional<std::int64_t> output_tokens;
};

/// One sequence's part of a step.
struct Slice {
  std::int64_t request, first_row, rows;
  /// Positions in its KV cache before the step.
  std::int64_t context;
};

/// Tokens that are computed together: a chunk of prompts, or a token of each sequence.
struct Step {
  bool prefill = false;
  std::vector<Slice> slices;
  /// Sequences that make a token at the end of the step: all in decode, those whose prompt ends in prefill.
  std::int64_t finishing = 0;
  std::int64_t tokens() const;
};

/// The steps of a workload, one after another.
class StepPlan {
 public:
  /// @param chunked whether prompts may be computed in pieces: not by an encoder, which sees all of a prompt at once.
  StepPlan(const RoutingSource& source, const Workload& workload, bool chunked);
  std::optional<Step> next();

 private:
  struct Sequence {
    std::int64_t request, prefill_rows, row, end_row, context;
  };
  void start_batch();

  const RoutingSource& source_;
  Workload workload_;
  std::int64_t next_request_;
  bool chunked_;
  std::vector<Sequence> active_;
};

/// Largest step and KV cache of a workload, for the memory bill.
struct WorkloadPeak {
  std::int64_t step_tokens = 0;  // of a prefill step
  StepShape longest;             // the step with the most cached positions
  std::int64_t sequences = 0;    // of any step
  std::int64_t steps = 0, tokens = 0;
};
WorkloadPeak peak_of(const MoeModel& model, const RoutingSource& source, const Workload& workload);

/// Which MoE layers a step runs through: all, or of an encoder-decoder model the encoder's in prefill and the
/// decoder's in decode.
std::pair<int, int> layers_of(const MoeModel& model, bool prefill);
StepShape shape_of(const MoeModel& model, const RoutingSource& source, const Step& step);
/// Reads the routing of a step. @param weights whether gate weights are wanted, where the source has them
/// @throws InputError if the source cannot deliver it.
void read_routing(const MoeModel& model, RoutingSource& source, const Step& step, bool weights,
                  StepRouting& out);

/// What a use of an expert needs, or gets: nothing, the low-precision copy, the weights in full.
enum class Precision : std::int8_t { skipped, low, full };

/// The units of work of one layer in the order in which the engine takes them up: with deduplication each
/// expert once, in order of first appearance, with all its tokens; without, every (token, expert) pair by
/// itself, a wave a token.
struct ExpertUse {
  std::int32_t expert;
  std::int64_t rows;
  /// Until it is looked up: the least that will do if it is missing. Then: in what it is computed.
  Precision precision = Precision::full;
};
void expert_waves(const StepRouting& routing, int layer, int experts, bool deduplicate,
                  std::vector<std::vector<ExpertUse>>& waves);

/// For each expert the dates (in accesses) at which the engine will use it.
FutureUses future_uses(const MoeModel& model, RoutingSource& source, const Workload& workload,
                       bool deduplicate);

}  // namespace specmoe
