#include "sim/base/yaml.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "sim/base/input_error.hpp"

namespace specmoe {

struct Yaml::Node {
  enum class Kind { scalar, list, map } kind = Kind::scalar;
  int line = 0;
  std::string scalar;
  std::vector<const Node*> children;  // list elements, or map values
  std::vector<std::string> keys;      // of a map, beside children
  std::vector<int> key_lines;         // likewise
};

struct Yaml::Document {
  std::string file;
  std::string text;
  std::vector<std::unique_ptr<Node>> nodes;
  const Node* root = nullptr;
};

// Builds our own tree from yaml-cpp's events: its Node keeps neither duplicate keys apart nor a line for each
// value, and lets an alias point at a node that is still open.
class Yaml::Builder : public YAML::EventHandler {
 public:
  explicit Builder(Document& document) : document_(document) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    scalar(mark, anchor, "");
    // Its mark is that of whatever follows; its key says where it is.
    if (!open_.empty() && !open_.back().wants_value && open_.back().node->kind == Node::Kind::map)
      document_.nodes.back()->line = open_.back().node->key_lines.back();
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                const std::string& value) override {
    scalar(mark, anchor, value);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const Node* target = anchors_.at(anchor);
    for (const auto& open : open_)
      if (open.node == target)
        throw InputError(document_.file, mark.line + 1, "an alias refers to a node that contains it",
                         "a document without cycles");
    attach(mark, target);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor, Node::Kind::list);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor, Node::Kind::map);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Open {
    Node* node;
    bool wants_value = false;  // of a map: its last key has no value yet
  };

  Node* add(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
    if (document_.nodes.size() >= 1'000'000)
      throw InputError(document_.file, mark.line + 1, "more than a million nodes", "a smaller document");
    document_.nodes.push_back(std::make_unique<Node>());
    Node* node = document_.nodes.back().get();
    node->kind = kind;
    node->line = mark.line + 1;
    if (anchor) anchors_[anchor] = node;
    return node;
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
    Node* node = add(mark, anchor, kind);
    attach(mark, node);
    if (open_.size() > 100) throw InputError(document_.file, mark.line + 1, "nested more than 100 deep");
    open_.push_back({node});
  }
  void scalar(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& value) {
    Node* node = add(mark, anchor, Node::Kind::scalar);
    node->scalar = value;
    attach(mark, node);
  }
  void attach(const YAML::Mark& mark, const Node* node) {
    if (open_.empty()) {
      document_.root = node;
      return;
    }
    Open& parent = open_.back();
    if (parent.node->kind == Node::Kind::map && !parent.wants_value) {
      if (node->kind != Node::Kind::scalar)
        throw InputError(document_.file, mark.line + 1,
                         "a key that is no scalar, or a bracket that is never closed", "a name");
      if (std::find(parent.node->keys.begin(), parent.node->keys.end(), node->scalar) !=
          parent.node->keys.end())
        throw InputError(document_.file, mark.line + 1, fmt::format("duplicate key \"{}\"", node->scalar),
                         "each key once");
      parent.node->keys.push_back(node->scalar);
      parent.node->key_lines.push_back(mark.line + 1);
      parent.wants_value = true;
      return;
    }
    parent.wants_value = false;
    parent.node->children.push_back(node);
  }

  Document& document_;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, const Node*> anchors_;
};

Yaml::Yaml(std::shared_ptr<const Document> document, const Node* node, std::string path)
    : document_(std::move(document)), node_(node), path_(std::move(path)) {}

Yaml Yaml::load(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::error_code ignored;
  if (!in || std::filesystem::is_directory(file, ignored))
    throw InputError(file.string(), 0, "cannot be read", "a YAML file");
  std::ostringstream text;
  text << in.rdbuf();
  return parse(text.str(), file.string());
}

Yaml Yaml::parse(std::string_view text, const std::string& file_name) {
  auto document = std::make_shared<Document>();
  document->file = file_name;
  document->text = text;
  // yaml-cpp 0.7 takes a quote that is open at the end of the input for closed; not so at the end of a
  // document.
  std::istringstream in(document->text + "\n...\n");
  try {
    YAML::Parser parser(in);
    Builder builder(*document);
    parser.HandleNextDocument(builder);
    const Node* root = document->root;
    if (!root || (root->kind == Node::Kind::scalar && root->scalar.empty()))
      throw InputError(file_name, 0, "is empty", "a YAML document");
    Builder second(*document);
    if (parser.HandleNextDocument(second)) throw InputError(file_name, 0, "holds two documents", "one");
  } catch (const YAML::Exception& e) {
    const bool open_quote = e.msg == YAML::ErrorMsg::DOC_IN_SCALAR;
    throw InputError(file_name, e.mark.line + 1, open_quote ? "a quote that is never closed" : e.msg,
                     "valid YAML");
  }
  const Node* root = document->root;
  return Yaml(std::move(document), root, "");
}

const std::string& Yaml::file() const { return document_->file; }
int Yaml::line() const { return node_->line; }
const std::string& Yaml::source_text() const { return document_->text; }
bool Yaml::is_map() const { return node_->kind == Node::Kind::map; }
bool Yaml::is_list() const { return node_->kind == Node::Kind::list; }
bool Yaml::is_scalar() const { return node_->kind == Node::Kind::scalar; }

void Yaml::fail(const std::string& expected) const {
  std::string found = is_map() ? "a map" : is_list() ? "a list" : fmt::format("\"{}\"", node_->scalar);
  throw InputError(file(), line(), (path_.empty() ? "" : path_ + ": ") + found, expected);
}

void Yaml::fail_choice(const std::vector<std::string_view>& names) const {
  const std::string_view near = is_scalar() ? nearest_name(node_->scalar, names) : "";
  fail(fmt::format("one of {}{}", fmt::join(names, ", "),
                   near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
}

static std::string join_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

void Yaml::allow_only(const std::vector<std::string_view>& names) const {
  if (!is_map()) fail("a map");
  for (std::size_t i = 0; i < node_->keys.size(); ++i) {
    const std::string& key = node_->keys[i];
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    const std::string_view near = nearest_name(key, names);
    throw InputError(
        file(), node_->key_lines[i], fmt::format("{}: unknown key", join_path(path_, key)),
        near.empty() ? fmt::format("one of {}", fmt::join(names, ", ")) : fmt::format("\"{}\"", near));
  }
}

std::optional<Yaml> Yaml::find(std::string_view key) const {
  if (!is_map()) fail("a map");
  for (std::size_t i = 0; i < node_->keys.size(); ++i)
    if (node_->keys[i] == key) return child(node_->children[i], join_path(path_, key));
  return std::nullopt;
}

Yaml Yaml::operator[](std::string_view key) const {
  if (auto found = find(key)) return *found;
  throw InputError(file(), line(), fmt::format("{}: missing", join_path(path_, key)), "this key");
}

std::vector<std::pair<std::string, Yaml>> Yaml::entries() const {
  if (!is_map()) fail("a map");
  std::vector<std::pair<std::string, Yaml>> all;
  for (std::size_t i = 0; i < node_->keys.size(); ++i)
    all.emplace_back(node_->keys[i], child(node_->children[i], join_path(path_, node_->keys[i])));
  return all;
}

std::vector<Yaml> Yaml::items() const {
  if (!is_list()) fail("a list");
  std::vector<Yaml> all;
  for (std::size_t i = 0; i < node_->children.size(); ++i)
    all.push_back(child(node_->children[i], fmt::format("{}[{}]", path_, i)));
  return all;
}

const std::string& Yaml::text() const {
  if (!is_scalar() || node_->scalar.empty()) fail("a text");
  for (const char c : node_->scalar)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f')
      fail("a text of one line, without control characters");
  return node_->scalar;
}

bool Yaml::boolean() const {
  if (is_scalar() && node_->scalar == "true") return true;
  if (is_scalar() && node_->scalar == "false") return false;
  fail("true or false");
}

std::int64_t Yaml::integer(std::int64_t least, std::int64_t most) const {
  std::int64_t value = 0;
  const std::string& s = is_scalar() ? node_->scalar : std::string();
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (s.empty() || error != std::errc() || end != s.data() + s.size() || value < least || value > most)
    fail(fmt::format("a whole number from {} to {}", least, most));
  return value;
}

double Yaml::number(double least, double most) const {
  double value = 0;
  const std::string& s = is_scalar() ? node_->scalar : std::string();
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (s.empty() || error != std::errc() || end != s.data() + s.size() || !std::isfinite(value) ||
      value < least || value > most)
    fail(fmt::format("a number from {} to {}", least, most));
  return value;
}

double Yaml::quantity(const std::string& example,
                      std::initializer_list<std::pair<std::string_view, double>> units, double least,
                      double most) const {
  const std::string wanted = fmt::format("a number with unit, e.g. \"{}\"", example);
  if (!is_scalar()) fail(wanted);
  const std::string& s = node_->scalar;
  double value = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (s.empty() || error != std::errc() || !std::isfinite(value)) fail(wanted);
  while (end != s.data() + s.size() && *end == ' ') ++end;
  const std::string_view unit(end, static_cast<std::size_t>(s.data() + s.size() - end));
  for (const auto& [name, factor] : units) {
    if (unit != name) continue;
    if (value * factor < least || value * factor > most)
      fail(fmt::format("{:g} to {:g} {} (e.g. \"{}\")", least / factor, most / factor, name, example));
    return value * factor;
  }
  fail(wanted);
}

Bytes Yaml::bytes(Bytes least, Bytes most) const {
  const double count = quantity("9 GiB",
                                {{"B", 1},
                                 {"kB", 1e3},
                                 {"MB", 1e6},
                                 {"GB", 1e9},
                                 {"TB", 1e12},
                                 {"KiB", 0x1p10},
                                 {"MiB", 0x1p20},
                                 {"GiB", 0x1p30},
                                 {"TiB", 0x1p40}},
                                static_cast<double>(least.count), static_cast<double>(most.count));
  return {std::llround(count)};
}

Seconds Yaml::seconds(Seconds least, Seconds most) const {
  return {quantity("2.5 us", {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}}, least.value, most.value)};
}

BytesPerSecond Yaml::bandwidth(BytesPerSecond least, BytesPerSecond most) const {
  return {quantity(
      "25 GB/s", {{"B/s", 1}, {"kB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9}, {"TB/s", 1e12}, {"GiB/s", 0x1p30}},
      least.value, most.value)};
}

FlopsPerSecond Yaml::flop_rate(FlopsPerSecond least, FlopsPerSecond most) const {
  return {quantity("165.2 TFLOP/s",
                   {{"GFLOP/s", 1e9}, {"TFLOP/s", 1e12}, {"PFLOP/s", 1e15}, {"GOP/s", 1e9}, {"TOP/s", 1e12}},
                   least.value, most.value)};
}

Watts Yaml::power(Watts least, Watts most) const {
  return {quantity("450 W", {{"W", 1}, {"mW", 1e-3}, {"kW", 1e3}}, least.value, most.value)};
}

JoulesPerByte Yaml::energy_per_byte(JoulesPerByte least, JoulesPerByte most) const {
  return {quantity("88 pJ/B", {{"pJ/B", 1e-12}, {"nJ/B", 1e-9}, {"pJ/bit", 8e-12}}, least.value, most.value)};
}

std::string_view nearest_name(std::string_view word, const std::vector<std::string_view>& names) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string_view name : names) {
    std::vector<std::size_t> row(name.size() + 1);
    for (std::size_t j = 0; j <= name.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= name.size(); ++j) {
        const std::size_t above = row[j];
        row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (word[i - 1] != name[j - 1])});
        diagonal = above;
      }
    }
    if (row[name.size()] < best_distance) {
      best_distance = row[name.size()];
      best = name;
    }
  }
  return best;
}

}  // namespace specmoe
