// Recorded routing as batches of tensors.
#pragma once
#include <span>
#include <vector>

#include "sim/learning/learning_data.hpp"
#include "sim/networks/architectures.hpp"

namespace specmoe {

/// Rows of one request.
struct Piece {
  int request = 0;
  std::int64_t first_row = 0, rows = 0;  // of its request
};

/// Makes batches, on a device, out of pieces of requests.
class Batches {
 public:
  /// `data` and `hidden` must outlive it. A copy of the data lives on the device; hidden states are read as they are
  /// needed. @param known_ids ascending: the i-th is token i of the network, all others are `vocabulary`.
  /// @param hidden nullptr if the shape has none.
  Batches(const LearningData& data, NetworkShape shape, const std::vector<std::int32_t>& known_ids,
          torch::Device device, const HiddenStates* hidden = nullptr);

  Batch make(std::span<const Piece> pieces) const;
  /// All rows of the requests, cut into pieces of `context` tokens.
  std::vector<Piece> cut(std::span<const int> requests, std::int64_t context) const;
  const NetworkShape& shape() const { return shape_; }
  const LearningData& data() const { return data_; }

 private:
  const LearningData& data_;
  const HiddenStates* hidden_;
  NetworkShape shape_;
  torch::Device device_;
  torch::Tensor experts_, weights_, tokens_;  // int16 [rows, L, K], float [rows, L, K], int32 [rows]
};

/// Token ids that occur twice at least in these requests, ascending.
std::vector<std::int32_t> frequent_ids(const LearningData& data, std::span<const int> requests);

/// What is to be learnt of a batch, at `layers`: truth as layers_ahead() gives it, and bool [B, T, layer, distance - 1]:
/// where the target is a routed token's. With `same_token`, only targets of the token itself.
struct Targets {
  torch::Tensor truth, valid;
};
Targets targets_of(const Batch& batch, const std::vector<std::int64_t>& layers, const NetworkShape& shape,
                   bool same_token);

}  // namespace specmoe
