#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "models/moe/routing/input_stream.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {
namespace {

constexpr std::string_view kColumns = "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes";

// One line: an expert of one token in one layer.
struct Route {
  std::int64_t turn, phase, step, layer, slot, expert;
  float weight;
};

// The comment lines above the table, up to and with the line of column names.
struct Head {
  std::string model;
  int layers = 0, experts = 0, top_k = 0;
  std::map<int, int> moe_layer;  // layer of the model -> MoE layer of the trace
  std::vector<std::int64_t> expert_bytes;
};

template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// The value of " key=value " in a comment line; empty if it is not there.
std::string_view value_of(std::string_view line, const std::string& key) {
  const std::size_t at = line.find(' ' + key + '=');
  if (at == std::string_view::npos) return {};
  const auto rest = line.substr(at + key.size() + 2);
  return rest.substr(0, rest.find(' '));
}

Head read_head(InputStream& in) {
  Head head;
  const auto number = [&](std::string_view line, const char* key, std::int64_t most) {
    std::int64_t value = -1;
    if (!parse(value_of(line, key), value) || value < 0 || value > most)
      in.fail(fmt::format("{}={}", key, value_of(line, key)), fmt::format("0 to {}", most));
    return value;
  };
  std::string line;
  while (in.line(line) && line.starts_with('#')) {
    if (line.find(" model=") != std::string::npos) {
      head.model = std::filesystem::path(value_of(line, "model")).stem().string();
      head.experts = static_cast<int>(number(line, "n_expert", 32'767));
      head.top_k = static_cast<int>(number(line, "n_expert_used", head.experts));
    } else if (line.find(" layer=") != std::string::npos) {
      const auto layer = static_cast<int>(number(line, "layer", 9'999));
      const auto bytes = number(line, "expert_bytes", std::int64_t{1} << 40);
      if (bytes == 0) continue;  // a dense layer
      if (!head.moe_layer.emplace(layer, head.layers++).second) in.fail(fmt::format("layer {} twice", layer));
      head.expert_bytes.push_back(bytes);
    }
  }
  if (line != kColumns) in.fail("is not the line of columns", std::string(kColumns));
  if (std::int64_t{head.layers} * head.top_k > kMostRouted)
    in.fail(fmt::format("{} layers, top {}", head.layers, head.top_k),
            fmt::format("at most {} experts a token", kMostRouted));
  if (head.layers == 0 || head.top_k == 0)
    in.fail("the comment lines lack the model's shape",
            "model= n_expert= n_expert_used=, and layer= expert_bytes= lines");
  return head;
}

bool read_route(InputStream& in, const Head& head, Route& route) {
  std::string line;
  if (!in.line(line)) return false;
  std::array<std::string_view, 9> field;
  std::size_t fields = 0;
  for (std::string_view rest = line;;) {
    const std::size_t comma = rest.find(',');
    if (fields < field.size()) field[fields] = rest.substr(0, comma);
    ++fields;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (fields != field.size()) in.fail(fmt::format("{} fields", fields), std::string(kColumns));
  const auto number = [&](std::size_t i, const char* name, std::int64_t most) {
    std::int64_t value = -1;
    if (!parse(field[i], value) || value < 0 || value > most)
      in.fail(fmt::format("{}: \"{}\"", name, field[i]), fmt::format("0 to {}", most));
    return value;
  };
  route = {number(0, "turn", 1 << 30),
           number(1, "phase", 1),
           number(2, "step", 1 << 30),
           number(3, "layer", 9'999),
           number(4, "slot", head.top_k - 1),
           number(5, "expert", head.experts - 1),
           0};
  if (!parse(field[6], route.weight) || !std::isfinite(route.weight))
    in.fail(fmt::format("weight: \"{}\"", field[6]), "a number");
  const auto layer = head.moe_layer.find(static_cast<int>(route.layer));
  if (layer == head.moe_layer.end())
    in.fail(fmt::format("layer {}", route.layer), "a layer of the comment lines");
  route.layer = layer->second;
  return true;
}

// Tokens of one phase of one turn: [step, layer, rank], filled in any order.
class Rows {
 public:
  Rows(const Head& head, std::int64_t first_step)
      : head_(head),
        row_(static_cast<std::size_t>(head.layers) * static_cast<std::size_t>(head.top_k)),
        first_(first_step) {}

  void put(const InputStream& in, const Route& route) {
    const std::int64_t row = route.step - first_;
    // Both phases number their steps without gaps; in prefill each layer counts them anew.
    if (row < 0 || row > count())
      in.fail(fmt::format("step {}", route.step), fmt::format("{} to {}", first_, first_ + count()));
    if (row == count()) {
      experts_.resize(experts_.size() + row_, -1);
      weights_.resize(weights_.size() + row_, 0);
    }
    const std::size_t at = static_cast<std::size_t>(row) * row_ +
                           static_cast<std::size_t>(route.layer * head_.top_k + route.slot);
    if (experts_[at] >= 0) in.fail("the same turn, phase, step, layer and slot a second time");
    experts_[at] = static_cast<std::int16_t>(route.expert);
    weights_[at] = route.weight;
  }
  std::int64_t count() const { return static_cast<std::int64_t>(experts_.size() / row_); }

  // The last layer may lack tokens, but not the last one.
  void write(const InputStream& in, bool prefill, TraceWriter& writer) const {
    const auto k = static_cast<std::size_t>(head_.top_k);
    for (std::size_t first = 0; first < experts_.size(); first += row_) {
      const auto experts = std::span(experts_).subspan(first, row_);
      const bool last = first + row_ == experts_.size();
      for (std::size_t i = 0; i < row_; ++i)
        if (experts[i] < 0 && (last || !prefill || i + k < row_))
          in.fail(fmt::format("up to here step {} lacks slot {} of MoE layer {}",
                              first_ + static_cast<std::int64_t>(first / row_), i % k, i / k),
                  "all experts of all layers (in prefill the last layer of the last token only)");
      if (const auto fault = fault_in_row(experts, head_.top_k, head_.experts); !fault.empty())
        in.fail("up to here step " + std::to_string(first_ + static_cast<std::int64_t>(first / row_)) + ", " +
                    fault,
                "distinct experts");
      writer.add_row(prefill, experts, std::span(weights_).subspan(first, row_));
    }
  }

 private:
  const Head& head_;
  std::size_t row_;
  std::int64_t first_;
  std::vector<std::int16_t> experts_;
  std::vector<float> weights_;
};

}  // namespace

void import_bigmoe(const TraceImport& import) {
  if (import.inputs.size() != 1)
    throw InputError(import.inputs[1].string(), 0, "a second file", "one route CSV");
  InputStream in(import.inputs[0]);
  const Head head = read_head(in);
  TraceHeader header;
  header.layers = head.layers;
  header.experts = head.experts;
  header.top_k = head.top_k;
  header.model = import.model.empty() ? head.model : import.model;
  header.source = import.source.empty() ? "github.com/Helldez/BigMoeOnEdge" : import.source;
  header.licence = import.licence.empty() ? "Apache-2.0" : import.licence;
  header.recorder = "BigMoeOnEdge (llama.cpp), batch 1";
  header.expert_bytes = head.expert_bytes;
  header.has_weights = true;
  TraceWriter writer(import.out, header);

  std::int64_t tokens = 0;
  Route route;
  bool more = read_route(in, head, route);
  if (!more) in.fail("no rows follow", "at least one token");
  for (std::int64_t turn = 0; more; ++turn) {
    if (route.turn != turn) in.fail(fmt::format("turn {}", route.turn), fmt::format("{}", turn));
    Rows prefill(head, route.step);
    for (; more && route.turn == turn && route.phase == 0; more = read_route(in, head, route))
      prefill.put(in, route);
    writer.begin_request(prefill.count());
    prefill.write(in, true, writer);
    tokens += prefill.count();
    for (std::int64_t step = route.step; more && route.turn == turn && route.phase == 1; ++step) {
      if (route.step != step) in.fail(fmt::format("step {}", route.step), fmt::format("{}", step));
      Rows token(head, step);
      for (; more && route.turn == turn && route.phase == 1 && route.step == step;
           more = read_route(in, head, route))
        token.put(in, route);
      token.write(in, false, writer);
      if (++tokens % 4096 == 0) import.progress(tokens);
    }
    if (more && route.turn == turn) in.fail("a prefill row after a decode row", "phase 0, then phase 1");
  }
  writer.finish();
}

}  // namespace specmoe
