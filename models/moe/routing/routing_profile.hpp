// A fitted description of how a model routes: small enough to ship, enough to make any number of tokens from. The
// layout ("specmoe-routing-profile" version 1); all int8 tables have their scale, float32 [layer], beside them as
// `<name>_scale`, and a table that is not there is all zero:
//
//   /                    attributes: format "specmoe-routing-profile", version 1, layers, experts, top_k, model,
//                        source, licence, fitted_on, notes, created_by; marginals_only (0 or 1), segment_tokens,
//                        sharpness
//   /base                float32 [layer, 1, expert]; log popularity, without a scale
//   /position            int8 [layer, bucket, expert], optional; of decoded tokens
//   /position_first      int32 [bucket]; first decoded token of the bucket, ascending from 0
//   /previous_layers     int8 [layer, distance * experts + chosen, expert], optional; distance - 1 = 0, 1 ..
//   /previous_token      int8 [layer, chosen, expert], optional
//   /together            int8 [layer, chosen, expert], optional
//   /latent              int8 [layer, dimension, expert], optional
//   /paths               int8 [segment, dimension]; its scale: /paths_scale float32 [dimension]
//   /path_prefill        int32 [path]; segments of the path's prompt, 0 where it was not recorded
//   /path_decode         int32 [path]; segments that follow them, of decoded tokens
//   /weights             uint16 [layer, sample, rank], optional; gate weights of sampled tokens, times 65535 /
//                        /weights_scale (float32 [1])
//   /fitted/request      int64 [part], /fitted/decode_rows int64 [part]: which requests of the trace, and how many of
//                        their decoded tokens, were used; attributes trace_requests, trace_tokens of that trace
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "models/moe/routing/routing.hpp"

namespace specmoe {

/// How a token chooses. An expert's score in a layer is
///   sharpness * (base + position[bucket of the decoded token] + latent . z
///                + sum over distance d = 1 .. D of previous_layers[d][chosen d layers before]
///                + previous_token[chosen by the previous token in this layer]),
/// where a table that follows choices is summed over all ranks, layers before the first are the previous token's
/// last ones (what it says last is what comes next), and z is where the request's path stands: a row of `paths` for
/// each `segment_tokens` tokens. Then rank by rank an expert is drawn from those left with probability in
/// proportion to exp(score) (Plackett and Luce), and a drawn expert adds its row of `together` to the ranks below.
struct RoutingProfile {
  enum Part { base, position, previous_layers, previous_token, together, latent, kParts };
  /// One table of logits.
  struct Table {
    int rows = 0;               // 0: not there
    std::vector<float> values;  // [layer, row, expert]
  };
  /// Segments of a request that was fitted on.
  struct Path {
    int first = 0, prefill = 0, decode = 0;
  };
  /// What was used of a trace.
  struct Fitted {
    std::int64_t request = 0, decode_rows = 0;
  };

  int layers = 0, experts = 0, top_k = 0;
  std::string model, source, licence, fitted_on, notes;
  /// From which it was read; empty of a profile that was made.
  std::string read_from{};
  /// Only how often each expert is used is known: no order of tokens, nothing between layers.
  bool marginals_only = false;
  double sharpness = 1;
  int segment_tokens = 32;
  std::array<Table, kParts> tables;
  std::vector<std::int32_t> position_first;  // [bucket]
  std::vector<float> paths;                  // [segment, dimension]
  std::vector<Path> path;
  std::vector<float> weights;  // [layer, sample, rank], or empty
  std::vector<Fitted> fitted;
  std::int64_t trace_requests = 0, trace_tokens = 0;

  /// A shipped profile by its name, or a file. @throws InputError if there is none, or it contradicts itself.
  static RoutingProfile load(const std::string& name_or_file);
  /// Of a file on which HDF5 does not crash: see try_reading().
  static RoutingProfile read_untried(const std::filesystem::path& file);
  /// Rounds all values to what the file can hold; save() of a rounded profile loses nothing.
  void round();
  /// @throws InputError if the file cannot be written.
  void save(const std::filesystem::path& file) const;
  /// "" if sizes and values fit together, else what does not.
  std::string fault() const;

  int latents() const { return tables[latent].rows; }
  int weight_samples() const {
    return weights.empty() ? 0 : static_cast<int>(weights.size() / static_cast<std::size_t>(layers * top_k));
  }
  int distances() const { return tables[previous_layers].rows / experts; }
  const float* row(Part part, int layer, int index) const {
    const Table& t = tables[part];
    return t.values.data() + (static_cast<std::size_t>(layer) * static_cast<std::size_t>(t.rows) +
                              static_cast<std::size_t>(index)) *
                                 static_cast<std::size_t>(experts);
  }
  float* row(Part part, int layer, int index) {
    return const_cast<float*>(static_cast<const RoutingProfile*>(this)->row(part, layer, index));
  }
  /// Makes a table of zeros.
  void resize(Part part, int rows);

  /// A row of a table that adds to a layer's scores.
  struct Active {
    Part part;
    int index;
  };
  /// The rows that add to the scores of a layer, base and what follows choices; not latent and together.
  /// @param row [layer, rank] of this token, layers below `layer` chosen
  /// @param before the previous token's, or null
  /// @param decoded place among the decoded tokens, -1 in the prompt
  void active(int layer, const std::int16_t* row, const std::int16_t* before, std::int64_t decoded,
              std::vector<Active>& out) const;
};

/// Names of the shipped profiles (models/moe/profiles/*.h5), sorted.
std::vector<std::string> profile_names();

}  // namespace specmoe
