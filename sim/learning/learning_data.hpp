// A recording in memory, as the predictors that learn want it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "models/moe/routing/routing_trace.hpp"
#include "sim/base/h5.hpp"

namespace specmoe {

/// Predictions look 1 .. kDistances MoE layers ahead.
inline constexpr int kDistances = 4;

/// A trace in memory, as guessers learn from it.
struct LearningData {
  /// Where a request's rows are.
  struct Request {
    std::int64_t first_row = 0;     // in the arrays below
    std::int64_t rows = 0;          // prefill rows, then decode rows, in order of position
    std::int64_t prefill_rows = 0;  // of them
    std::int64_t prompt_tokens = 0;
    std::int64_t trace_row = 0;  // where the request starts in the trace's arrays
    std::string label;           // "" where the trace has none
  };

  TraceHeader header;
  int layers = 0, experts = 0, top_k = 0;
  bool has_weights = false, has_token_ids = false;
  std::vector<std::int16_t> chosen;  // [row, layer, rank] -> expert; rank 0 = highest weight; -1 = not routed
  std::vector<float> weights;        // [row, layer, rank]; empty without weights
  std::vector<std::int32_t> token_ids;  // [row]; -1 = unknown; empty without token ids
  std::int32_t vocabulary = 0;          // largest token id of the whole trace + 1; 0 without token ids
  std::vector<Request> requests;

  std::int64_t rows() const { return std::ssize(chosen) / (std::int64_t{layers} * top_k); }
  /// @param row of the whole recording: request.first_row + ...
  std::span<const std::int16_t> chosen_at(std::int64_t row, int layer) const {
    return std::span(chosen).subspan(static_cast<std::size_t>((row * layers + layer) * top_k),
                                     static_cast<std::size_t>(top_k));
  }
  /// [row, layer, rank] of a whole request.
  std::span<const std::int16_t> chosen_of(int request) const {
    const Request& r = requests[static_cast<std::size_t>(request)];
    const std::int64_t row = std::int64_t{layers} * top_k;
    return std::span(chosen).subspan(static_cast<std::size_t>(r.first_row * row),
                                     static_cast<std::size_t>(r.rows * row));
  }
  /// Empty without weights.
  std::span<const float> weights_at(std::int64_t row, int layer) const {
    if (!has_weights) return {};
    return std::span(weights).subspan(static_cast<std::size_t>((row * layers + layer) * top_k),
                                      static_cast<std::size_t>(top_k));
  }
};

/// The first requests, and the first rows of each, for quick tests. Requests without rows are left out.
struct LearningLimits {
  std::int64_t requests = std::numeric_limits<std::int64_t>::max();
  std::int64_t rows = std::numeric_limits<std::int64_t>::max();
};
/// @throws InputError as RoutingTrace, and if no rows are left.
LearningData load_learning_data(RoutingTrace& trace, const LearningLimits& limits = {});

/// What the layers' routers saw, where the trace holds it: /hidden float16 [row, layer, width], rows as in the trace.
/// Read in pieces.
class HiddenStates {
 public:
  static bool recorded(const std::filesystem::path& trace);
  /// @throws InputError if the trace has none, or of another shape than its /experts.
  explicit HiddenStates(const std::filesystem::path& trace);
  std::int64_t rows() const { return rows_; }
  int layers() const { return layers_; }
  int width() const { return width_; }
  /// @param first_row of the trace: request.trace_row + ... @param out [rows, layer, width]
  void read(std::int64_t first_row, std::int64_t rows, std::span<float> out) const;

 private:
  H5File file_;
  std::int64_t rows_ = 0;
  int layers_ = 0, width_ = 0;
};

}  // namespace specmoe
