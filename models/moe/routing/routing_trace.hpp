// Recorded routing in HDF5. The layout ("specmoe-trace" version 1):
//
//   /                       attributes: format "specmoe-trace", version 1, layers, experts, top_k, model, source,
//                           licence, recorder, created_by
//   /experts                int16 [token, layer, rank]; rank 0 = highest gate weight; -1 = not routed
//   /weights                float32 [token, layer, rank], optional; gate weights as the model applies them
//   /token_ids              int32 [token], optional; id of the token that is processed in the row; -1 = unknown
//   /hidden                 float16 [token, layer, width], optional; hidden states before each layer's router, 0 where
//                           not routed; written by models/moe/recording/record.py --hidden, for learned predictors
//   /requests/first_token   int64 [request]; rows of a request are contiguous, in order of position
//   /requests/prompt_tokens int64 [request]; prompt length, recorded or not
//   /requests/prefill_rows  int64 [request]; rows that are prompt positions (phase prefill)
//   /requests/decode_rows   int64 [request]; rows that follow them (phase decode)
//   /requests/label         text [request], optional; data set or domain
//   /expert_bytes           int64 [layer], optional; bytes of one expert as stored by the recording engine
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "models/moe/routing/routing.hpp"
#include "sim/base/h5.hpp"

namespace specmoe {

/// Experts that a row may name, layers x top_k: rows are held in memory, and a model of 1000 layers, top 1000 has as many.
inline constexpr std::int64_t kMostRouted = 1'000'000;

/// What a trace says of itself.
struct TraceHeader {
  int layers = 0, experts = 0, top_k = 0;
  std::string model, source, licence, recorder;
  std::vector<std::int64_t> expert_bytes;  // [layer], or empty
  bool has_weights = false, has_token_ids = false, has_labels = false;
};

/// Reads a trace file in pieces; keeps a block of rows ahead for each of the requests that are being read, so
/// that reading many requests side by side stays cheap.
class RoutingTrace : public RoutingSource {
 public:
  /// @throws InputError if the file is no trace, or contradicts itself. Experts are checked as they are read.
  static std::unique_ptr<RoutingTrace> open(const std::filesystem::path& file);

  const TraceHeader& header() const { return header_; }
  std::int64_t tokens() const { return tokens_; }
  const std::string& file() const { return file_.name(); }
  /// "" where the trace has no labels.
  std::string label(std::int64_t request) const;

  int layers() const override { return header_.layers; }
  int experts() const override { return header_.experts; }
  int top_k() const override { return header_.top_k; }
  std::int64_t requests() const override { return static_cast<std::int64_t>(requests_.size()); }
  RequestInfo request(std::int64_t index) const override;
  void read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
            std::span<std::int16_t> out) override;
  std::string description() const override;
  bool has_weights() const override { return header_.has_weights; }
  /// @throws InputError also if the trace has none.
  void read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                    std::span<float> out) override;
  /// [row] ids of the tokens that the rows process; -1 = unknown. Not kept ahead: read many at once.
  /// @param out rows elements. @throws InputError as read(), and if the trace has none.
  void read_token_ids(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                      std::span<std::int32_t> out) const;

 private:
  template <class T>
  struct Block {
    std::int64_t first = 0, rows = 0;  // of its request
    std::vector<T> values;
  };
  template <class T>
  using Blocks = std::unordered_map<std::int64_t, Block<T>>;  // by request

  explicit RoutingTrace(H5File file);
  void read_header();
  void read_requests();
  void read_checked(std::int64_t first_token, std::int64_t rows, std::span<std::int16_t> out) const;
  void read_checked(std::int64_t first_token, std::int64_t rows, std::span<float> out) const;
  template <class T>
  void read_ahead(Blocks<T>& blocks, std::int64_t request, std::int64_t first_row, std::int64_t rows,
                  std::span<T> out);
  void require_rows(std::int64_t request, std::int64_t first_row, std::int64_t rows, std::size_t out) const;
  std::int64_t row_size() const { return std::int64_t{header_.layers} * header_.top_k; }

  H5File file_;
  TraceHeader header_;
  std::int64_t tokens_ = 0;
  std::vector<RequestInfo> requests_;
  std::vector<std::int64_t> first_token_;
  std::vector<std::string> labels_;
  Blocks<std::int16_t> blocks_;
  Blocks<float> weight_blocks_;
};

/// Writes a trace file, request by request, token by token, in constant memory. A file that is not finished
/// is removed again.
class TraceWriter {
 public:
  /// @throws InputError if the file cannot be written; std::logic_error for a shape that no trace may have.
  TraceWriter(const std::filesystem::path& file, const TraceHeader& header);
  ~TraceWriter();
  void begin_request(std::int64_t prompt_tokens, const std::string& label = "");
  /// Prefill rows come first: prompt_tokens of them, or none.
  /// @param experts [layer, rank]; @param weights the same shape or empty; @param token_id ignored without
  /// token ids.
  /// @throws std::logic_error for a size or an order that is not the header's or the request's; InputError
  /// for experts out of range or twice in a layer.
  void add_row(bool prefill, std::span<const std::int16_t> experts, std::span<const float> weights = {},
               std::int32_t token_id = -1);
  /// Writes the request table and closes the file.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "" if each layer's experts are distinct and in -1 .. experts-1, else what is wrong.
/// @param row [layer, rank]
std::string fault_in_row(std::span<const std::int16_t> row, int top_k, int experts);

}  // namespace specmoe
