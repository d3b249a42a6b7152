// Predictions that something else made, read from HDF5. The layout ("specmoe-predictions" version 1):
//
//   /                       attributes: format "specmoe-predictions", version 1, layers, experts
//   /experts                int16 [token, layer, distance - 1, rank]: what the token's predictor expects, when the routing
//                           of `layer` has become known, of the layer `distance` MoE layers after it (past the last layer:
//                           of the first ones of the token after); the most wanted first, -1 for nobody
//   /confidence             float32 [token, layer, distance - 1, rank], optional
//   /requests/first_token   int64 [request]: a request's rows are contiguous, in order of position, as in the trace
//   /network                group, optional: what computed them, so that it can be charged (prefetch.network).
//                           attributes: name, text; parameters, int64 (by default the elements of all matrices below)
//   /network/step           int64 [n, 3], matrix products that run once a step, from its tokens: rows a token, inner,
//                           columns
//   /network/layer          the same of what runs at each MoE layer when its routing has become known
//   /network/step_attention, /network/layer_attention
//                           int64 [n, 3]: heads, head width, keys that a token's query attends to (-1: all tokens of
//                           its request up to itself). All four are optional
//
// so with h5py
//
//   f = h5py.File("p.h5", "w"); f.attrs.update(format="specmoe-predictions", version=1, layers=24, experts=32)
//   f["experts"] = np.int16(...); f["requests/first_token"] = np.int64([0, 37, ...])
//   f.create_group("network").attrs.update(name="mlp", parameters=430000)
//   f["network/layer"] = np.int64([[1, 320, 960], [1, 960, 128]])
//
// Names, of each token's first `width` experts or of all that the file names, what has at least `confidence`, where the
// file has confidences. Rows are read as they are needed.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/policies/predictor.hpp"

namespace specmoe {
namespace {

constexpr std::int64_t kBlockRows = 64;  // read ahead in a request

class External : public Predictor {
 public:
  explicit External(const PredictorContext& context)
      : context_(context),
        file_(H5File::open(context.parameters.file("file"))),
        confidence_(static_cast<float>(context.parameters.number("confidence"))),
        named_(static_cast<std::size_t>(context.experts)) {
    const std::string expected = "predictions as described in sim/policies/predictor/external.cpp";
    if (!file_.has("/", "format") || file_.get_string("/", "format") != "specmoe-predictions" ||
        file_.get_integer("/", "version") != 1)
      fail("is no file of predictions of version 1", expected);
    for (const auto& [name, want] : {std::pair{"layers", context.layers}, {"experts", context.experts}})
      if (const std::int64_t found = file_.get_integer("/", name); found != want)
        fail(fmt::format("{} is {}", name, found), fmt::format("the model's {}", want));
    for (const char* path : {"/experts", "/requests/first_token"})
      if (!file_.exists(path)) fail(fmt::format("{} is missing", path), expected);
    const auto shape = file_.shape("/experts");
    if (shape.size() != 4 || shape[1] != context.layers || shape[2] < 1 || shape[3] < 1)
      fail("/experts has another shape", fmt::format("[tokens, {}, distances, ranks]", context.layers));
    tokens_ = shape[0];
    distances_ = shape[2];
    ranks_ = shape[3];
    named_ranks_ = context.width > 0 ? std::min<std::int64_t>(context.width, ranks_) : ranks_;
    has_confidence_ = file_.exists("/confidence");
    if (has_confidence_ && file_.shape("/confidence") != shape)
      fail("/confidence has another shape", "that of /experts");
    first_token_ = file_.read<std::int64_t>("/requests/first_token");
    for (std::size_t i = 0; i < first_token_.size(); ++i)
      if (first_token_[i] < (i ? first_token_[i - 1] : 0) || first_token_[i] > tokens_)
        fail(fmt::format("request {} starts at token {}", i, first_token_[i]),
             "ascending tokens of the file");
    if (file_.exists("/network")) read_network();
  }

  void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, next, layer, distance);
    if (!target || distance > distances_) return;
    std::fill(named_.begin(), named_.end(), false);
    for (std::int64_t token = 0; token < step.tokens; ++token) {
      const Block& block = block_of(step, token);
      const auto first = static_cast<std::size_t>(
          (((step.rows[static_cast<std::size_t>(token)] - block.first) * context_.layers + layer) *
               distances_ +
           distance - 1) *
          ranks_);
      for (std::size_t i = first; i < first + static_cast<std::size_t>(named_ranks_); ++i) {
        const std::int16_t expert = block.experts[i];
        if (expert < 0 || (has_confidence_ && !(block.confidence[i] >= confidence_))) continue;
        if (named_[static_cast<std::size_t>(expert)]) continue;
        named_[static_cast<std::size_t>(expert)] = true;
        out.push_back({target->layer, expert});
      }
    }
  }

  const PredictorNetwork* network() const override { return network_ ? &*network_ : nullptr; }

 private:
  struct Block {
    std::int64_t first = 0, rows = 0;  // of its request
    std::vector<std::int16_t> experts;
    std::vector<float> confidence;
  };

  [[noreturn]] void fail(const std::string& what, const std::string& expected) const {
    throw InputError(file_.name(), 0, what, expected);
  }
  // [n, 3] of integers of at least 1; of the last column `least` will do. Nothing if it is not there.
  std::vector<std::array<std::int64_t, 3>> read_triples(const std::string& path, std::int64_t least) const {
    std::vector<std::array<std::int64_t, 3>> triples;
    if (!file_.exists(path)) return triples;
    const auto shape = file_.shape(path);
    if (shape.size() != 2 || shape[1] != 3) fail(path + " has another shape", "[n, 3]");
    const auto numbers = file_.read<std::int64_t>(path);
    for (std::size_t i = 0; i < numbers.size(); i += 3) {
      const std::array triple{numbers[i], numbers[i + 1], numbers[i + 2]};
      if (std::min(triple[0], triple[1]) < 1 || triple[2] < least || triple[2] == 0 ||
          *std::max_element(triple.begin(), triple.end()) > kMostNetworkSize)
        fail(fmt::format("{}: row {} is {}, {}, {}", path, i / 3, triple[0], triple[1], triple[2]),
             fmt::format("1 to {}{}", kMostNetworkSize, least < 0 ? ", or -1 for all keys" : ""));
      triples.push_back(triple);
    }
    return triples;
  }
  void read_network() {
    PredictorNetwork& network = network_.emplace();
    for (const auto& [name, part] : {std::pair{"step", &network.step}, {"layer", &network.layer}}) {
      const std::string path = std::string("/network/") + name;
      for (const auto& [rows, inner, columns] : read_triples(path, 1))
        part->products.push_back({rows, inner, columns});
      for (const auto& [heads, width, keys] : read_triples(path + "_attention", -1))
        part->attention.push_back({heads, width, keys});
    }
    if (file_.has("/network", "name")) network.name = file_.get_string("/network", "name");
    network.parameters =
        file_.has("/network", "parameters") ? file_.get_integer("/network", "parameters") : network.weights();
    if (network.parameters < 0 || network.parameters > kMostNetworkParameters)
      fail(fmt::format("/network: parameters is {}", network.parameters),
           fmt::format("0 to {}", kMostNetworkParameters));
  }
  const Block& block_of(const StepRouting& step, std::int64_t token) {
    if (token == 0 && blocks_.size() > 1024) blocks_.clear();
    const std::int64_t request = step.request_of(token), row = step.rows.at(static_cast<std::size_t>(token));
    Block& block = blocks_[request];
    if (row < block.first || row >= block.first + block.rows) read(request, row, block);
    return block;
  }
  void read(std::int64_t request, std::int64_t row, Block& block) {
    if (request < 0 || request >= std::ssize(first_token_))
      fail(fmt::format("has no predictions for request {}", request),
           fmt::format("the routing's requests; it has {}", first_token_.size()));
    const auto at = static_cast<std::size_t>(request);
    const std::int64_t end = at + 1 < first_token_.size() ? first_token_[at + 1] : tokens_;
    const std::int64_t rows = std::min(kBlockRows, end - first_token_[at] - row);
    if (rows <= 0)
      fail(fmt::format("has no predictions for row {} of request {}", row, request),
           fmt::format("the routing's rows; it has {}", end - first_token_[at]));
    const auto size = static_cast<std::size_t>(rows * context_.layers * distances_ * ranks_);
    block = {row, 0, std::move(block.experts),
             std::move(block.confidence)};  // holds nothing if reading fails
    block.experts.resize(size);
    file_.read_rows<std::int16_t>("/experts", first_token_[at] + row, rows, block.experts);
    for (const std::int16_t expert : block.experts)
      if (expert < -1 || expert >= context_.experts)
        fail(fmt::format("/experts: {} in row {} of request {} or soon after", expert, row, request),
             fmt::format("-1 to {}", context_.experts - 1));
    if (has_confidence_) {
      block.confidence.resize(size);
      file_.read_rows<float>("/confidence", first_token_[at] + row, rows, block.confidence);
    }
    block.rows = rows;
  }

  PredictorContext context_;
  H5File file_;
  float confidence_;
  std::int64_t tokens_ = 0, distances_ = 0, ranks_ = 0, named_ranks_ = 0;
  bool has_confidence_ = false;
  std::vector<std::int64_t> first_token_;
  std::map<std::int64_t, Block> blocks_;  // by request
  std::vector<bool> named_;
  std::optional<PredictorNetwork> network_;
};

}  // namespace

std::unique_ptr<Predictor> make_external(const PredictorContext& context) {
  return std::make_unique<External>(context);
}

}  // namespace specmoe
