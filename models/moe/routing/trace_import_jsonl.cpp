#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "models/moe/routing/input_stream.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {
namespace {

using Json = nlohmann::json;

// A value in an error. Not what has other values in it, which dump() would follow until the stack is full.
std::string shown(const Json& value) {
  return value.is_structured() ? "a list or an object" : value.dump().substr(0, 40);
}

// One line.
struct Token {
  std::int64_t request = 0;
  bool first = false;  // of its request
  bool prefill = false;
  std::int64_t prompt_tokens = 0;  // of its request
  std::string label;
  std::vector<std::int16_t> experts;  // [layer, rank]
  std::vector<float> weights;         // the same, or empty
  std::optional<std::int32_t> token_id;
};

// Reads the lines of a file and checks that they fit together.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : in_(file) {}

  bool next(Token& token) {
    std::string line;
    do {
      if (!in_.line(line)) {
        require_whole_prompt();
        return false;
      }
    } while (line.find_first_not_of(" \t") == std::string::npos);
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) in_.fail("is no JSON object", "one object a line");
    for (const auto& [key, value] : json.items())
      if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
        in_.fail(fmt::format("unknown key \"{}\"", key), fmt::format("{}", fmt::join(kKeys, ", ")));
    read_request(json, token);
    read_phase(json, token);
    read_experts(json, token);
    token.token_id.reset();
    if (json.contains("token_id"))
      token.token_id = static_cast<std::int32_t>(integer(json, "token_id", INT32_MAX));
    const bool weights = !token.weights.empty(), id = token.token_id.has_value();
    if (tokens_++ == 0) {
      weights_ = weights;
      ids_ = id;
    }
    if (weights != weights_ || id != ids_)
      in_.fail("weights or token_id on some lines only", "on all lines or on none");
    return true;
  }

  int layers() const { return layers_; }
  int top_k() const { return static_cast<int>(top_k_); }
  std::int64_t tokens() const { return tokens_; }
  const InputStream& in() const { return in_; }

 private:
  static constexpr std::array<std::string_view, 7> kKeys{"request", "phase",   "experts", "prompt_tokens",
                                                         "label",   "weights", "token_id"};

  const Json& member(const Json& json, const char* key, const char* expected) const {
    const auto found = json.find(key);
    if (found == json.end()) in_.fail(fmt::format("\"{}\" is missing", key), expected);
    return *found;
  }
  std::int64_t integer(const Json& json, const char* key, std::int64_t most) const {
    const Json& value = member(json, key, "a number");
    if (!value.is_number_integer() || value < 0 || value > most)
      in_.fail(fmt::format("\"{}\": {}", key, shown(value)), fmt::format("0 to {}", most));
    return value.get<std::int64_t>();
  }

  void require_whole_prompt() const {
    if (prefill_ != 0 && prefill_ != prompt_)
      in_.fail(fmt::format("request {} ended with {} prefill lines", request_, prefill_),
               fmt::format("{} as its prompt_tokens say, or none", prompt_));
  }

  void read_request(const Json& json, Token& token) {
    token.request = integer(json, "request", std::int64_t{1} << 40);
    token.first = token.request == request_ + 1;
    if (!token.first && token.request != request_)
      in_.fail(fmt::format("request {}", token.request),
               request_ < 0 ? "0" : fmt::format("{} or {}", request_, request_ + 1));
    if (token.first) {
      require_whole_prompt();
      request_ = token.request;
      prefill_ = 0;
      decoding_ = false;
      prompt_ = integer(json, "prompt_tokens", std::int64_t{1} << 40);
      token.label = "";
      if (json.contains("label")) {
        if (!json["label"].is_string()) in_.fail("\"label\" is no text", "text");
        token.label = json["label"];
      }
    } else if (json.contains("prompt_tokens") || json.contains("label")) {
      in_.fail("prompt_tokens or label on a later line", "on the first line of a request");
    }
    token.prompt_tokens = prompt_;
  }

  void read_phase(const Json& json, Token& token) {
    const Json& phase = member(json, "phase", "\"prefill\" or \"decode\"");
    if (phase != "prefill" && phase != "decode")
      in_.fail(fmt::format("\"phase\": {}", shown(phase)), "\"prefill\" or \"decode\"");
    token.prefill = phase == "prefill";
    if (token.prefill && decoding_) in_.fail("prefill after decode", "a request's prefill lines first");
    if (!token.prefill && !decoding_) require_whole_prompt();
    decoding_ = !token.prefill;
    if (token.prefill && ++prefill_ > prompt_)
      in_.fail(fmt::format("prefill line {} of request {}", prefill_, request_),
               fmt::format("{} as its prompt_tokens say, or none", prompt_));
  }

  // A [layer][rank] array of arrays of equal lengths, the same on all lines.
  template <class Value>
  void read_table(const Json& json, const char* key, const Value& value) {
    const Json& table = member(json, key, "[layer][rank]");
    if (!table.is_array() || table.empty() || table.size() > 10'000)
      in_.fail(fmt::format("\"{}\" is no list of layers", key), "[layer][rank]");
    for (const Json& layer : table) {
      if (!layer.is_array() || layer.empty() || layer.size() > 32'767 ||
          static_cast<std::int64_t>(table.size() * layer.size()) > kMostRouted)
        in_.fail(fmt::format("\"{}\" holds a layer that is no list of ranks", key), "[layer][rank]");
      if (layers_ == 0) {
        layers_ = static_cast<int>(table.size());
        top_k_ = layer.size();
      }
      if (table.size() != static_cast<std::size_t>(layers_) || layer.size() != top_k_)
        in_.fail(fmt::format("\"{}\" has {} layers, one of {} ranks", key, table.size(), layer.size()),
                 fmt::format("{} layers of {} ranks as before", layers_, top_k_));
      for (const Json& entry : layer) value(entry);
    }
  }

  void read_experts(const Json& json, Token& token) {
    token.experts.clear();
    read_table(json, "experts", [&](const Json& expert) {
      const bool fits = expert.is_number_unsigned()  // 18446744073709551615 would compare as -1
                            ? expert.get<std::uint64_t>() <= 32'766
                            : expert.is_number_integer() && expert >= -1;
      if (!fits) in_.fail(fmt::format("expert {}", shown(expert)), "-1 to 32766");
      token.experts.push_back(expert.get<std::int16_t>());
    });
    if (const auto fault = fault_in_row(token.experts, top_k(), 32'767); !fault.empty())
      in_.fail(fault, "distinct experts");
    token.weights.clear();
    if (!json.contains("weights")) return;
    read_table(json, "weights", [&](const Json& weight) {
      if (!weight.is_number() || !std::isfinite(weight.get<float>()))
        in_.fail(fmt::format("weight {}", shown(weight)), "a number");
      token.weights.push_back(weight.get<float>());
    });
  }

  InputStream in_;
  std::int64_t request_ = -1, prompt_ = 0, prefill_ = 0, tokens_ = 0;
  bool decoding_ = false, weights_ = false, ids_ = false;
  int layers_ = 0;
  std::size_t top_k_ = 0;
};

}  // namespace

void import_jsonl(const TraceImport& import) {
  if (import.inputs.size() != 1)
    throw InputError(import.inputs[1].string(), 0, "a second file", "one file of lines");
  TraceHeader header;
  {
    Reader reader(import.inputs[0]);
    Token token;
    int highest = -1;
    while (reader.next(token)) {
      highest = std::max<int>(highest, *std::max_element(token.experts.begin(), token.experts.end()));
      if (import.experts && highest >= *import.experts)
        reader.in().fail(fmt::format("expert {}", highest), fmt::format("0 to {}", *import.experts - 1));
      header.has_labels = header.has_labels || (token.first && !token.label.empty());
      header.has_weights = !token.weights.empty();
      header.has_token_ids = token.token_id.has_value();
    }
    if (highest < 0) throw InputError(reader.in().name(), 0, "holds no routed token", "at least one line");
    header.layers = reader.layers();
    header.top_k = reader.top_k();
    header.experts = import.experts.value_or(std::max(highest + 1, header.top_k));
  }
  header.model = import.model;
  header.source = import.source;
  header.licence = import.licence;
  header.recorder = "JSON lines";
  if (!import.experts) header.recorder += ", number of experts: highest id seen + 1";
  if (header.experts < header.top_k)
    throw InputError(import.inputs[0].string(), 0,
                     fmt::format("{} of {} experts a layer", header.top_k, header.experts),
                     "at least as many experts as ranks");
  TraceWriter writer(import.out, header);

  Reader reader(import.inputs[0]);
  Token token;
  while (reader.next(token)) {
    if (token.first) writer.begin_request(token.prompt_tokens, token.label);
    writer.add_row(token.prefill, token.experts, token.weights, token.token_id.value_or(-1));
    if (reader.tokens() % 4096 == 0) import.progress(reader.tokens());
  }
  writer.finish();
}

}  // namespace specmoe
