#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <nlohmann/json.hpp>

#include "models/moe/routing/input_stream.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {
namespace {

static_assert(std::endian::native == std::endian::little, "the binary trace files are little endian");

struct Meta {
  std::string model;
  int layers, experts, top_k;
  std::int64_t tokens;
};

Meta read_meta(const std::filesystem::path& file) {
  InputStream in(file);
  std::string text;
  for (std::string line; in.line(line);) text += line + '\n';
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) throw InputError(in.name(), 0, "is no JSON object", "the trace's meta.json");
  const auto integer = [&](const char* key, std::int64_t most) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_number_integer() || *found < 1 || *found > most)
      throw InputError(in.name(), 0, fmt::format("\"{}\" is missing or no such number", key),
                       fmt::format("1 to {}", most));
    return found->get<std::int64_t>();
  };
  const auto model = json.find("model");
  const int experts = static_cast<int>(integer("experts_per_layer", 256));
  const int layers = static_cast<int>(integer("moe_layers", 10'000));
  return {model != json.end() && model->is_string() ? model->get<std::string>() : "", layers, experts,
          static_cast<int>(integer("top_k", std::min<std::int64_t>(experts, kMostRouted / layers))),
          integer("decode_tokens", std::int64_t{1} << 40)};
}

// Columns of requests.csv by name.
class Requests {
 public:
  explicit Requests(const std::filesystem::path& file) : in_(file) {
    std::string line;
    if (in_.line(line)) columns_ = csv_fields(line);
    for (const char* name :
         {"dataset", "category", "prompt_tokens", "traced_decode_tokens", "trace_offset", "tok_offset"})
      column(name);
  }
  bool next() {
    std::string line;
    if (!in_.line(line)) return false;
    fields_ = csv_fields(line);
    if (fields_.size() != columns_.size())
      in_.fail(fmt::format("{} fields", fields_.size()), fmt::format("{}", columns_.size()));
    return true;
  }
  const std::string& text(const std::string& name) const { return fields_[column(name)]; }
  std::int64_t number(const std::string& name) const {
    const std::string& field = text(name);
    std::int64_t value = -1;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc{} || end != field.data() + field.size() || value < 0 ||
        value > std::int64_t{1} << 40)
      in_.fail(fmt::format("{}: \"{}\"", name, field), "a number of tokens");
    return value;
  }
  const InputStream& in() const { return in_; }

 private:
  std::size_t column(const std::string& name) const {
    const auto found = std::find(columns_.begin(), columns_.end(), name);
    if (found == columns_.end())
      throw InputError(in_.name(), 1, "no column " + name, "the trace's requests.csv");
    return static_cast<std::size_t>(found - columns_.begin());
  }

  InputStream in_;
  std::vector<std::string> columns_, fields_;
};

}  // namespace

void import_gpt_oss(const TraceImport& import) {
  if (import.inputs.size() != 1 || !std::filesystem::is_directory(import.inputs[0]))
    throw InputError(import.inputs[0].string(), 0, "is not one directory", "the directory of the trace");
  const auto& folder = import.inputs[0];
  const Meta meta = read_meta(folder / "meta.json");
  Requests requests(folder / "requests.csv");
  InputStream experts(folder / "experts.u8.gz"), weights(folder / "weights.bf16le.gz"),
      ids(folder / "token_local_ids.u32le.gz");

  TraceHeader header;
  header.layers = meta.layers;
  header.experts = meta.experts;
  header.top_k = meta.top_k;
  header.model = import.model.empty() ? meta.model : import.model;
  header.source =
      import.source.empty() ? "github.com/AmanPriyanshu/GPT-OSS-MoE-ExpertFingerprinting" : import.source;
  header.licence = import.licence.empty() ? "Apache-2.0" : import.licence;
  header.recorder = "HF transformers, batch 1, greedy; decode only";
  header.has_weights = header.has_token_ids = header.has_labels = true;
  TraceWriter writer(import.out, header);

  const std::size_t row = static_cast<std::size_t>(meta.layers) * static_cast<std::size_t>(meta.top_k);
  std::vector<std::uint8_t> row_experts(row);
  std::vector<std::uint16_t> row_weights(row);
  std::vector<std::int16_t> wide(row);
  std::vector<float> floats(row);
  std::int64_t tokens = 0, ids_read = 0;
  const auto next_id = [&] {
    std::uint32_t id = 0;
    ids.bytes(std::as_writable_bytes(std::span(&id, 1)));
    ++ids_read;
    return static_cast<std::int32_t>(id);
  };
  while (requests.next()) {
    const std::int64_t prompt = requests.number("prompt_tokens"),
                       rows = requests.number("traced_decode_tokens");
    if (requests.number("trace_offset") != tokens || rows > meta.tokens - tokens)
      requests.in().fail(fmt::format("rows {} and {} more", requests.number("trace_offset"), rows),
                         fmt::format("rows from {} on, of {}", tokens, meta.tokens));
    // The token that decode row j processes is tok_offset + prompt_tokens + j.
    const std::int64_t first_id = requests.number("tok_offset") + prompt;
    if (first_id < ids_read) requests.in().fail("tok_offset goes back", "ids in the order of the requests");
    while (ids_read < first_id) next_id();
    writer.begin_request(prompt, requests.text("dataset") + "/" + requests.text("category"));
    for (std::int64_t j = 0; j < rows; ++j) {
      experts.values(row_experts);
      weights.values(row_weights);
      std::copy(row_experts.begin(), row_experts.end(), wide.begin());
      // bfloat16 is the upper half of a float.
      std::transform(row_weights.begin(), row_weights.end(), floats.begin(),
                     [](std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); });
      if (const auto fault = fault_in_row(wide, meta.top_k, meta.experts); !fault.empty())
        throw InputError(experts.name(), 0, fmt::format("token {}, {}", tokens, fault), "distinct experts");
      writer.add_row(false, wide, floats, next_id());
      if (++tokens % 4096 == 0) import.progress(tokens);
    }
  }
  if (tokens != meta.tokens)
    throw InputError(requests.in().name(), 0, fmt::format("the requests have {} rows", tokens),
                     fmt::format("{} as meta.json says", meta.tokens));
  experts.require_end();
  weights.require_end();
  writer.finish();
}

}  // namespace specmoe
