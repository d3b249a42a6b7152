// Where tokens are routed: the common face of recorded traces and generators.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace specmoe {

/// What a source says of one request.
struct RequestInfo {
  /// Prompt positions that come before the first decoded token.
  std::int64_t prompt_tokens = 0;
  /// Rows of the request that are prompt positions (phase prefill): prompt_tokens, or 0 if prefill was not
  /// recorded.
  std::int64_t prefill_rows = 0;
  /// Rows that are decoded tokens (phase decode).
  std::int64_t decode_rows = 0;
};

/// Routed experts by request and token. Rows of a request are its prefill rows, then its decode rows.
/// Not thread-safe; reading in ascending order within a request is fastest.
class RoutingSource {
 public:
  virtual ~RoutingSource() = default;
  virtual int layers() const = 0;   // MoE layers
  virtual int experts() const = 0;  // routed experts a layer
  virtual int top_k() const = 0;
  virtual std::int64_t requests() const = 0;
  virtual RequestInfo request(std::int64_t index) const = 0;
  /// [row, layer, rank] -> expert, int16; rank 0 = highest gate weight; -1 where a token was not routed in a
  /// layer.
  /// @param out rows * layers * top_k elements.
  /// @throws InputError if the rows do not exist or the file is damaged.
  virtual void read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                    std::span<std::int16_t> out) = 0;
  /// Whether read_weights() has an answer.
  virtual bool has_weights() const { return false; }
  /// [row, layer, rank] gate weights as the model applies them, of what read() gives. @throws InputError as read();
  /// std::logic_error if has_weights() is false.
  virtual void read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                            std::span<float> out);
  /// One line for reports: what this routing is and where it came from.
  virtual std::string description() const = 0;
};

/// Accesses by [layer][expert].
using ExpertCounts = std::vector<std::vector<std::int64_t>>;

}  // namespace specmoe
