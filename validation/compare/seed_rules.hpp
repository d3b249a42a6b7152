// The seed's own rules (cyanmishra92/specMoE at 4af4125), imitated so that its headline numbers can be reproduced and
// taken apart. Nothing here is physics, and nothing else in SpecMoE uses it: layers in parallel, keys without a layer,
// caches that prefetches overfill, transfers that cost nothing, a predictor that knows when it is wrong.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace specmoe {

/// What one of the seed's evaluations reports.
struct SeedOutcome {
  double milliseconds = 0, hit_rate = 0;
};

/// run_single_experiment.py: 512 positions x 12 layers x 1 of 128 experts. The members beyond `strategy` and `batch`
/// each mend one rule; all off is the seed.
struct SeedSwitchRule {
  char strategy = 'A';  // to 'E'
  int batch = 1;        // multiplies the time, and nothing else
  /// Without prefetches and their overhead, with the cache size of the strategy or `slots`.
  bool no_prefetch = false;
  /// Least recently used leaves, also when a prefetch needs room; 0 for the seed's: only demand misses evict.
  int slots = 0;
  /// Layers have experts of their own, instead of sharing 128 ids.
  bool layer_keys = false;
  /// A position takes the sum of its layers, instead of the longest.
  bool serial_layers = false;
};
/// Mean of 10 runs, as the seed reports.
SeedOutcome seed_switch(const SeedSwitchRule& rule);

/// qwen_comprehensive_evaluation.py: 2048 tokens x 8 of 64 experts of one layer; mean of 10 runs. The batch only re-chops
/// the stream.
SeedOutcome seed_qwen(char strategy);

/// create_small_switch_trace.py: ids of so many positions; layer l routes to (id + 7 l) mod 128.
std::vector<std::int16_t> seed_switch_sequence(std::uint64_t seed, int positions);
/// qwen_comprehensive_evaluation.py: [token, 8].
std::vector<std::int16_t> seed_qwen_sequence(std::uint64_t seed, int tokens);

/// switch.h5 and qwen.h5 as validation/published/seed ships them: 16 requests of the two generators, so that batches of
/// 1 to 16 run; those of Qwen as long as 2048 tokens over the smallest batch that has the request.
/// @throws InputError if a file cannot be written
void write_seed_routing(const std::filesystem::path& folder);

}  // namespace specmoe
