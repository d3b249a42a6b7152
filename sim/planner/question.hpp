// What a user asks: will this model run on that machine, how fast, and how should it be set up?
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/kernel.hpp"
#include "sim/base/units.hpp"
#include "sim/scenario/edits.hpp"

namespace specmoe {

/// What is asked, with the defaults of what is left open.
struct Question {
  /// Names of shipped files, or paths.
  std::string model, platform;
  /// Positions of a sequence, prompt and answer together; of these `output` are decoded.
  std::int64_t context = 4096, output = 256;
  /// Sequences at a time; none: one, and what more would give is looked at as well.
  std::optional<std::int64_t> batch;
  /// Decoded tokens a second, of all sequences together.
  std::optional<double> target;
  /// In place of the platform's.
  std::optional<Bytes> host_memory;
  /// To the platform, the model and what they run in: see Edit.
  std::vector<Edit> changes;

  std::int64_t sequences() const { return batch.value_or(1); }
};

/// How weights are stored: the routed experts', and all others'.
struct Formats {
  WeightFormat experts = WeightFormat::bf16, rest = WeightFormat::bf16;
  friend bool operator==(Formats, Formats) = default;
};

/// "int4", or "mxfp4, rest int8" where the two differ.
std::string name_of(Formats precision);

/// The native precision and those below it, in falling order: the other weights at 8 bits, as files in small formats
/// keep them; all at 8 bits (fp8 where the GPU multiplies it, else int8); experts in int4, int3, int2. mxfp4 has the
/// bits of int4, which stands for both.
/// @param multiplies_fp8 whether the GPU has a rate for fp8
std::vector<Formats> precisions_below(Formats native, bool multiplies_fp8);

}  // namespace specmoe
