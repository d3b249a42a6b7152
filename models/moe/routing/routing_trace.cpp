#include "models/moe/routing/routing_trace.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <stdexcept>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "sim/base/unfinished_file.hpp"

namespace specmoe {
namespace {

constexpr const char* kFormat = "specmoe-trace";
constexpr std::int64_t kVersion = 1;
constexpr int kMostLayers = 10'000, kMostExperts = 32'767;
// Read ahead in a request, and how many requests have a block at once: 1024 blocks of 48 layers, top 8 are
// 100 MB.
constexpr std::int64_t kBlockRows = 128;
constexpr std::size_t kBlocks = 1024;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

std::string text_of(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace

std::string fault_in_row(std::span<const std::int16_t> row, int top_k, int experts) {
  for (std::size_t first = 0; first < row.size(); first += size(top_k)) {
    const auto chosen = row.subspan(first, size(top_k));
    for (std::size_t rank = 0; rank < chosen.size(); ++rank) {
      const std::int16_t expert = chosen[rank];
      const std::size_t layer = first / size(top_k);
      if (expert < -1 || expert >= experts)
        return fmt::format("layer {}: expert {} of 0 to {}", layer, expert, experts - 1);
      if (expert >= 0 && std::find(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(rank),
                                   expert) != chosen.begin() + static_cast<std::ptrdiff_t>(rank))
        return fmt::format("layer {}: expert {} twice", layer, expert);
    }
  }
  return "";
}

std::unique_ptr<RoutingTrace> RoutingTrace::open(const std::filesystem::path& file) {
  // A damaged file can make HDF5 1.10 crash or spin where it reads texts: a child tries first.
  static std::set<std::string> tried;
  if (!tried.count(file.string())) {
    constexpr unsigned kPatience = 20;  // s
    try {
      run_isolated([&] {
        ::alarm(kPatience);
        RoutingTrace trace(H5File::open(file));
        return std::string();
      });
    } catch (const InputError&) {
      throw;
    } catch (const std::runtime_error&) {
      throw InputError(file.string(), 0, "is corrupt", "a complete HDF5 file");
    }
    tried.insert(file.string());
  }
  return std::unique_ptr<RoutingTrace>(new RoutingTrace(H5File::open(file)));
}

RoutingTrace::RoutingTrace(H5File file) : file_(std::move(file)) {
  read_header();
  read_requests();
}

void RoutingTrace::read_header() {
  const std::string expected = "a trace made by `specmoe trace import`";
  if (!file_.has("/", "format") || file_.get_string("/", "format") != kFormat)
    throw InputError(file(), 0, "is no routing trace", expected);
  if (const auto found = file_.get_integer("/", "version"); found != kVersion)
    throw InputError(file(), 0, fmt::format("is a trace of version {}", found),
                     fmt::format("version {}", kVersion));

  const auto extent = [&](const char* name, int most) {
    const std::int64_t value = file_.get_integer("/", name);
    if (value < 1 || value > most)
      throw InputError(file(), 0, fmt::format("{} is {}", name, value), fmt::format("1 to {}", most));
    return static_cast<int>(value);
  };
  header_.layers = extent("layers", kMostLayers);
  header_.experts = extent("experts", kMostExperts);
  header_.top_k = extent("top_k", header_.experts);
  if (row_size() > kMostRouted)
    throw InputError(file(), 0, fmt::format("{} layers, top {}", header_.layers, header_.top_k),
                     fmt::format("at most {} experts a token", kMostRouted));
  header_.model = file_.get_string("/", "model");
  header_.source = file_.get_string("/", "source");
  header_.licence = file_.get_string("/", "licence");
  header_.recorder = file_.get_string("/", "recorder");
  header_.has_weights = file_.exists("/weights");
  header_.has_token_ids = file_.exists("/token_ids");
  header_.has_labels = file_.exists("/requests/label");

  const auto require_shape = [&](const char* path, const std::vector<std::int64_t>& expected_shape) {
    if (!file_.exists(path)) throw InputError(file(), 0, fmt::format("{} is missing", path), expected);
    if (const auto found = file_.shape(path); found != expected_shape)
      throw InputError(file(), 0, fmt::format("{} has the shape {}", path, text_of(found)),
                       text_of(expected_shape));
  };
  if (!file_.exists("/experts")) throw InputError(file(), 0, "/experts is missing", expected);
  const auto shape = file_.shape("/experts");
  tokens_ = shape.empty() ? 0 : shape[0];
  require_shape("/experts", {tokens_, header_.layers, header_.top_k});
  if (tokens_ == 0) throw InputError(file(), 0, "holds no tokens", "at least one");
  if (header_.has_weights) require_shape("/weights", shape);
  if (header_.has_token_ids) require_shape("/token_ids", {tokens_});
  if (file_.exists("/expert_bytes")) {
    require_shape("/expert_bytes", {header_.layers});
    header_.expert_bytes = file_.read<std::int64_t>("/expert_bytes");
    for (const auto bytes : header_.expert_bytes)
      if (bytes <= 0)
        throw InputError(file(), 0, fmt::format("/expert_bytes: {}", bytes), "bytes of an expert");
  }
}

void RoutingTrace::read_requests() {
  const auto column = [&](const std::string& name) {
    const std::string path = "/requests/" + name;
    if (!file_.exists(path)) throw InputError(file(), 0, path + " is missing", "a complete trace");
    return file_.read<std::int64_t>(path);
  };
  first_token_ = column("first_token");
  const auto prompt = column("prompt_tokens"), prefill = column("prefill_rows"),
             decode = column("decode_rows");
  if (header_.has_labels) labels_ = file_.read_strings("/requests/label");
  const std::size_t count = first_token_.size();
  if (prompt.size() != count || prefill.size() != count || decode.size() != count ||
      (header_.has_labels && labels_.size() != count))
    throw InputError(file(), 0, "the columns of /requests differ in length", "one row a request");

  std::int64_t next = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto fail = [&](const std::string& what, const std::string& expected) {
      throw InputError(file(), 0, fmt::format("request {}: {}", i, what), expected);
    };
    if (first_token_[i] != next)
      fail(fmt::format("starts at token {}", first_token_[i]), fmt::format("{}", next));
    if (prompt[i] < 0 || (prefill[i] != 0 && prefill[i] != prompt[i]))
      fail(fmt::format("{} prefill rows of a prompt of {} tokens", prefill[i], prompt[i]),
           "all of them or none");
    if (prefill[i] > tokens_ - next || decode[i] < 0 || decode[i] > tokens_ - next - prefill[i])
      fail(fmt::format("{} prefill and {} decode rows", prefill[i], decode[i]),
           fmt::format("at most the {} that follow in the file", tokens_ - next));
    next += prefill[i] + decode[i];
    requests_.push_back({prompt[i], prefill[i], decode[i]});
  }
  if (next != tokens_)
    throw InputError(file(), 0, fmt::format("the requests have {} rows", next),
                     fmt::format("{} as /experts", tokens_));
}

std::string RoutingTrace::label(std::int64_t request) const {
  return labels_.empty() ? "" : labels_.at(size(request));
}

RequestInfo RoutingTrace::request(std::int64_t index) const {
  require_rows(index, 0, 0, 0);
  return requests_[size(index)];
}

void RoutingTrace::require_rows(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                                std::size_t out) const {
  if (request < 0 || request >= requests())
    throw InputError(file(), 0, fmt::format("request {} asked for", request),
                     fmt::format("0 to {}", requests() - 1));
  const RequestInfo& info = requests_[size(request)];
  if (const std::int64_t held = info.prefill_rows + info.decode_rows;
      first_row < 0 || rows < 0 || rows > held - first_row)
    throw InputError(file(), 0,
                     fmt::format("request {}: {} rows from row {} asked for", request, rows, first_row),
                     fmt::format("rows 0 to {}", held - 1));
  if (size(rows * row_size()) != out) throw std::logic_error("RoutingTrace: buffer of another size");
}

void RoutingTrace::read_checked(std::int64_t first_token, std::int64_t rows,
                                std::span<std::int16_t> out) const {
  file_.read_rows<std::int16_t>("/experts", first_token, rows, out);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto fault =
        fault_in_row(out.subspan(size(row * row_size()), size(row_size())), header_.top_k, header_.experts);
    if (!fault.empty())
      throw InputError(file(), 0, fmt::format("/experts: token {}, {}", first_token + row, fault),
                       "distinct experts of the model, -1 where a token was not routed");
  }
}

void RoutingTrace::read_checked(std::int64_t first_token, std::int64_t rows, std::span<float> out) const {
  file_.read_rows<float>("/weights", first_token, rows, out);
  if (!std::all_of(out.begin(), out.end(), [](float weight) { return std::isfinite(weight); }))
    throw InputError(file(), 0, fmt::format("/weights: no number in token {} or soon after", first_token),
                     "finite weights");
}

template <class T>
void RoutingTrace::read_ahead(Blocks<T>& blocks, std::int64_t request, std::int64_t first_row,
                              std::int64_t rows, std::span<T> out) {
  require_rows(request, first_row, rows, out.size());
  const std::int64_t first_token = first_token_[size(request)];
  const RequestInfo& info = requests_[size(request)];
  while (rows > 0) {
    if (rows >= kBlockRows) return read_checked(first_token + first_row, rows, out);
    const auto known = blocks.find(request);
    if (known == blocks.end() && blocks.size() >= kBlocks) blocks.clear();
    Block<T>& block = known == blocks.end() ? blocks[request] : known->second;
    if (first_row < block.first || first_row >= block.first + block.rows) {
      const auto ahead = std::min(kBlockRows, info.prefill_rows + info.decode_rows - first_row);
      block = {first_row, 0, std::move(block.values)};  // holds nothing if reading fails
      block.values.resize(size(ahead * row_size()));
      read_checked(first_token + first_row, ahead, std::span<T>(block.values));
      block.rows = ahead;
    }
    const std::int64_t offset = first_row - block.first, taken = std::min(rows, block.rows - offset);
    std::copy_n(block.values.begin() + offset * row_size(), taken * row_size(), out.begin());
    if (first_row + taken == info.prefill_rows + info.decode_rows) blocks.erase(request);
    out = out.subspan(size(taken * row_size()));
    first_row += taken;
    rows -= taken;
  }
}

void RoutingTrace::read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                        std::span<std::int16_t> out) {
  read_ahead(blocks_, request, first_row, rows, out);
}

void RoutingTrace::read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                                std::span<float> out) {
  if (!header_.has_weights) throw InputError(file(), 0, "has no gate weights", "a trace recorded with them");
  read_ahead(weight_blocks_, request, first_row, rows, out);
}

void RoutingTrace::read_token_ids(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                                  std::span<std::int32_t> out) const {
  if (!header_.has_token_ids) throw InputError(file(), 0, "has no token ids", "a trace recorded with them");
  require_rows(request, first_row, rows, out.size() * size(row_size()));
  if (rows == 0) return;
  const std::int64_t first_token = first_token_[size(request)] + first_row;
  file_.read_rows<std::int32_t>("/token_ids", first_token, rows, out);
  const auto wrong =
      std::find_if(out.begin(), out.end(), [](std::int32_t id) { return id < -1 || id == INT32_MAX; });
  if (wrong != out.end())
    throw InputError(file(), 0,
                     fmt::format("/token_ids: {} in token {}", *wrong, first_token + (wrong - out.begin())),
                     "ids from 0 on, -1 for unknown");
}

std::string RoutingTrace::description() const {
  std::string text =
      fmt::format("trace {}: {}, {} requests, {} tokens", std::filesystem::path(file()).filename().string(),
                  header_.model.empty() ? "unnamed model" : header_.model, requests(), tokens_);
  if (!header_.recorder.empty()) text += "; " + header_.recorder;
  if (!header_.source.empty()) text += "; source: " + header_.source;
  return text;
}

struct TraceWriter::State {
  UnfinishedFile out;
  TraceHeader header;
  H5File file;
  H5Growing experts;
  std::optional<H5Growing> weights, token_ids;
  std::vector<std::int64_t> first_token, prompt_tokens, prefill_rows, decode_rows;
  std::vector<std::string> labels;
  std::vector<double> weight_row;
  std::int64_t tokens = 0;

  State(const std::filesystem::path& path, const TraceHeader& header_)
      : out(path),
        header(header_),
        file(H5File::create(out.path())),
        experts(file, "/experts", H5Growing::Type::int16, {header.layers, header.top_k}) {
    if (header.has_weights)
      weights.emplace(file, "/weights", H5Growing::Type::float32,
                      std::vector<std::int64_t>{header.layers, header.top_k});
    if (header.has_token_ids) token_ids.emplace(file, "/token_ids", H5Growing::Type::int32);
  }
};

TraceWriter::TraceWriter(const std::filesystem::path& file, const TraceHeader& header) {
  if (header.layers < 1 || header.layers > kMostLayers || header.experts < 1 ||
      header.experts > kMostExperts || header.top_k < 1 || header.top_k > header.experts ||
      std::int64_t{header.layers} * header.top_k > kMostRouted ||
      (!header.expert_bytes.empty() && header.expert_bytes.size() != size(header.layers)))
    throw std::logic_error("TraceWriter: a header that no trace may have");
  state_ = std::make_unique<State>(file, header);
}

TraceWriter::~TraceWriter() = default;

void TraceWriter::begin_request(std::int64_t prompt_tokens, const std::string& label) {
  State& s = *state_;
  if (!s.first_token.empty() && s.prefill_rows.back() != 0 && s.prefill_rows.back() != s.prompt_tokens.back())
    throw std::logic_error("TraceWriter: a request with a part of its prompt's rows");
  s.first_token.push_back(s.tokens);
  s.prompt_tokens.push_back(prompt_tokens);
  s.prefill_rows.push_back(0);
  s.decode_rows.push_back(0);
  s.labels.push_back(label);
}

void TraceWriter::add_row(bool prefill, std::span<const std::int16_t> experts, std::span<const float> weights,
                          std::int32_t token_id) {
  State& s = *state_;
  const std::size_t row = size(s.header.layers) * size(s.header.top_k);
  if (s.first_token.empty() || experts.size() != row || weights.size() != (s.header.has_weights ? row : 0))
    throw std::logic_error("TraceWriter: a row of another shape, or outside a request");
  if (prefill && s.decode_rows.back() > 0)
    throw std::logic_error("TraceWriter: a prefill row after a decode row");
  if (const auto fault = fault_in_row(experts, s.header.top_k, s.header.experts); !fault.empty())
    throw InputError(s.out.file().string(), 0, fmt::format("token {}, {}", s.tokens, fault),
                     "distinct experts of the model, -1 where a token was not routed");
  s.experts.append(experts);
  if (s.weights) {
    s.weight_row.assign(weights.begin(), weights.end());
    s.weights->append(std::span<const double>(s.weight_row));
  }
  if (s.token_ids) s.token_ids->append(std::int64_t{token_id});
  ++(prefill ? s.prefill_rows : s.decode_rows).back();
  ++s.tokens;
}

void TraceWriter::finish() {
  State& s = *state_;
  if (s.tokens == 0) throw std::logic_error("TraceWriter: a trace without rows");
  if (s.prefill_rows.back() != 0 && s.prefill_rows.back() != s.prompt_tokens.back())
    throw std::logic_error("TraceWriter: a request with a part of its prompt's rows");
  s.experts.flush();
  if (s.weights) s.weights->flush();
  if (s.token_ids) s.token_ids->flush();
  s.file.write("/requests/first_token", s.first_token);
  s.file.write("/requests/prompt_tokens", s.prompt_tokens);
  s.file.write("/requests/prefill_rows", s.prefill_rows);
  s.file.write("/requests/decode_rows", s.decode_rows);
  if (s.header.has_labels) s.file.write_strings("/requests/label", s.labels);
  if (!s.header.expert_bytes.empty()) s.file.write("/expert_bytes", s.header.expert_bytes);
  s.file.set("/", "format", kFormat);
  s.file.set("/", "version", kVersion);
  s.file.set("/", "layers", std::int64_t{s.header.layers});
  s.file.set("/", "experts", std::int64_t{s.header.experts});
  s.file.set("/", "top_k", std::int64_t{s.header.top_k});
  s.file.set("/", "model", s.header.model);
  s.file.set("/", "source", s.header.source);
  s.file.set("/", "licence", s.header.licence);
  s.file.set("/", "recorder", s.header.recorder);
  s.file.set("/", "created_by", "specmoe " + version());
  s.file.flush();
  UnfinishedFile out = std::move(s.out);
  state_.reset();
  out.publish();
}

}  // namespace specmoe
