// Made-up routing: a seeded source without a file, for models and popularities of which there is no trace.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "models/moe/routing/routing.hpp"
#include "sim/base/random.hpp"

namespace specmoe {

/// How the ranks of a token are chosen, layer by layer, rank by rank:
///   1. with probability `reuse`, the expert that the request's previous token had at this rank of this
///   layer;
///   2. else, with probability `correlation`, the successor of the expert that this token has at this rank of
///   the
///      layer before;
///   3. else, and where 1 or 2 names nobody (first token, first layer), an expert of count 0 or one already
///   chosen by an
///      earlier rank of this token and layer, a draw by popularity from the experts of the layer not yet
///      chosen.
/// So with reuse = correlation = 0 a layer's experts are a weighted sample without replacement: the first
/// rank follows the popularity exactly, the set is flatter. Rows of prompt and output are one sequence; the
/// first row after the prompt has the last prompt token before it.
struct RoutingOptions {
  int layers = 0, experts = 0, top_k = 0;
  /// Experts lie in so many groups of equal size, neighbours together, and a token's are of at most `groups_kept`: once
  /// its ranks have opened those, 1, 2 and 3 name nobody from another. With Zipf's popularity alone.
  int groups = 1, groups_kept = 1;
  std::int64_t requests = 1;
  /// Of every request: that many prefill rows, then that many decode rows.
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  std::uint64_t seed = 0;
  /// Popularity of the i-th most popular expert of a layer is 1 / (i+1)^zipf; which expert is i-th is a
  /// seeded random order, another one in each layer. 0 = all alike.
  double zipf = 0;
  /// Popularity by [layer][expert] instead of Zipf's; only the proportions within a layer matter. Experts
  /// with count 0 are never chosen.
  std::optional<ExpertCounts> counts;
  double reuse = 0;
  /// The successor of a layer's i-th most popular expert is the next layer's i-th most popular expert (ties
  /// in seeded random order), a fixed one-to-one map, so that correlation leaves Zipf's popularity as it is.
  double correlation = 0;
};

/// Each request has a random stream of its own: its routing depends on the options and its index alone, not
/// on who reads it, when, or beside which others. Reading a request forwards takes constant memory; reading
/// an earlier row again starts the request over.
class RoutingGenerator : public RoutingSource {
 public:
  /// @throws InputError for options that no routing can have, e.g. more ranks than experts that may be drawn.
  explicit RoutingGenerator(RoutingOptions options);

  int layers() const override { return options_.layers; }
  int experts() const override { return options_.experts; }
  int top_k() const override { return options_.top_k; }
  std::int64_t requests() const override { return options_.requests; }
  RequestInfo request(std::int64_t index) const override;
  void read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
            std::span<std::int16_t> out) override;
  std::string description() const override;

 private:
  // Where the reading of a request stands: its random stream and the row that was made last.
  struct Progress {
    Random random;
    std::int64_t next_row = 0;
    std::vector<std::int16_t> row;  // [layer, rank]
  };

  void check() const;
  void rank_experts(int layer);
  void advance(Progress& progress) const;
  std::int16_t at(int layer, double share) const;
  bool refused(std::span<const std::int16_t> chosen, std::int16_t expert) const;
  std::int16_t draw(int layer, std::span<const std::int16_t> chosen, Random& random) const;

  RoutingOptions options_;
  std::vector<std::vector<double>> popularity_;  // [layer][expert]
  std::vector<std::vector<double>> cumulative_;  // [layer][expert], running sum of popularity_
  // [layer][i]: about where the first cumulative_ above i / experts of the sum stands (Chen & Asau 1974).
  std::vector<std::vector<std::int16_t>> guide_;
  std::vector<std::vector<std::int16_t>> successor_;  // [layer][expert of the layer before]
  std::vector<std::int16_t> order_before_;            // experts of the layer ranked last, most popular first
  std::map<std::int64_t, Progress> progress_;         // by request
};

}  // namespace specmoe
