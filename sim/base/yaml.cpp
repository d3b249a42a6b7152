#include "sim/base/yaml.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "sim/base/input_error.hpp"

namespace specmoe {

struct Yaml::Node {
  enum class Kind { scalar, list, map } kind = Kind::scalar;
  const std::string* file = nullptr;  // its document's, or that of the document it was taken over from
  int line = 0;
  std::string scalar;
  std::vector<const Node*> children;  // list elements, or map values
  std::vector<std::string> keys;      // of a map, beside children
  std::vector<int> key_lines;         // likewise
  // Of all that stands below, an alias counting as what it refers to: nodes, itself included, and levels.
  std::size_t size = 1;
  int height = 0;
};

struct Yaml::Document {
  std::string file;
  std::string text;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::shared_ptr<const Document>> others;  // whose nodes this one refers to
  const Node* root = nullptr;
};

// Builds our own tree from yaml-cpp's events: its Node keeps neither duplicate keys apart nor a line for each
// value, and lets an alias point at a node that is still open.
class Yaml::Builder : public YAML::EventHandler {
 public:
  static constexpr std::size_t kMostNodes = 1'000'000;
  static constexpr int kMostLevels = 100;
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
    count(mark.line + 1, *target);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor, Node::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor, Node::Kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Node* node;
    bool wants_value = false;                // of a map: its last key has no value yet
    std::unordered_set<std::string> keys{};  // of a map
  };

  Node* add(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
    if (document_.nodes.size() >= kMostNodes) fail_large(mark.line + 1);
    document_.nodes.push_back(std::make_unique<Node>());
    Node* node = document_.nodes.back().get();
    node->kind = kind;
    node->file = &document_.file;
    node->line = mark.line + 1;
    if (anchor) anchors_[anchor] = node;
    return node;
  }
  [[noreturn]] void fail_large(int line) const {
    throw InputError(document_.file, line, "more than a million nodes", "a smaller document");
  }
  // A node that is complete, under the one that is open: each alias of a node repeats all that is in it, so that a page of
  // aliases of aliases stands for more nodes than there is memory, or for a tree deeper than the stack.
  void count(int line, const Node& node) {
    if (open_.empty()) return;
    Node& parent = *open_.back().node;
    parent.size += node.size;
    parent.height = std::max(parent.height, node.height + 1);
    if (parent.size > kMostNodes) fail_large(line);
    if (static_cast<int>(open_.size()) + node.height > kMostLevels) fail_deep(line);
  }
  [[noreturn]] void fail_deep(int line) const {
    throw InputError(document_.file, line, fmt::format("nested more than {} deep", kMostLevels));
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
    Node* node = add(mark, anchor, kind);
    attach(mark, node);
    if (static_cast<int>(open_.size()) > kMostLevels) fail_deep(mark.line + 1);
    open_.push_back({node});
  }
  void close() {
    const Node* node = open_.back().node;
    open_.pop_back();
    count(node->line, *node);
  }
  void scalar(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& value) {
    Node* node = add(mark, anchor, Node::Kind::scalar);
    node->scalar = value;
    attach(mark, node);
    count(mark.line + 1, *node);
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
      if (!parent.keys.insert(node->scalar).second)
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
  // A device may never end, and nobody writes so much.
  constexpr std::size_t kMost = 64 << 20;
  std::string text;
  std::vector<char> piece(1 << 16);
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
    text.append(piece.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMost) throw InputError(file.string(), 0, "is longer than 64 MiB", "a YAML file");
  }
  return parse(text, file.string());
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

const std::string& Yaml::file() const { return *node_->file; }
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
        *node_->children[i]->file, node_->key_lines[i], fmt::format("{}: unknown key", join_path(path_, key)),
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

namespace {
// The first step of a path and the rest: "links.pcie" is links and pcie, "[LRU].cache" is [LRU] and cache.
struct PathStep {
  std::string_view name, rest;
  bool element;
};
PathStep first_step(std::string_view path, const Yaml& where) {
  const bool element = path.starts_with('[');
  const std::size_t end = element ? path.find(']') : path.find_first_of(".[");
  const auto fail = [&] { where.fail("a path, e.g. cache.capacity or strategies[LRU].cache.capacity"); };
  if (path.empty() || end == 0 || (element && end == std::string_view::npos)) fail();
  std::string_view rest = end == std::string_view::npos ? "" : path.substr(end + (element ? 1 : 0));
  if (rest == "." || (!rest.empty() && rest.front() != '.' && rest.front() != '[')) fail();
  if (rest.starts_with('.')) rest.remove_prefix(1);
  return {element ? path.substr(1, end - 1) : path.substr(0, end), rest, element};
}
}  // namespace

// The place among the children of what a step of a path names, or their number where there is none.
std::size_t Yaml::place_of(std::string_view name, bool element) const {
  if (!element)
    return static_cast<std::size_t>(std::find(node_->keys.begin(), node_->keys.end(), name) -
                                    node_->keys.begin());
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error == std::errc() && end == name.data() + name.size())
    return std::min(index, node_->children.size());
  const auto elements = items();
  for (index = 0; index < elements.size(); ++index)
    if (elements[index].is_map())
      if (const auto own = elements[index].find("name"); own && own->text() == name) break;
  return index;
}

std::optional<Yaml> Yaml::at(std::string_view path) const {
  if (path.empty()) return *this;
  const auto [name, rest, element] = first_step(path, *this);
  if (element ? !is_list() : !is_map()) return std::nullopt;
  const std::size_t place = place_of(name, element);
  if (place == node_->children.size()) return std::nullopt;
  return child(node_->children[place], element ? fmt::format("{}[{}]", path_, name) : join_path(path_, name))
      .at(rest);
}

Yaml Yaml::with(std::string_view path, const Yaml& value) const {
  auto document = std::make_shared<Document>();
  document->file = document_->file;
  document->text = document_->text;
  document->others = {document_, value.document_};
  // Copies of the nodes on the way; all else is shared.
  const auto change = [&](const auto& self, std::optional<Yaml> old, const std::string& so_far,
                          std::string_view left) -> const Node* {
    if (left.empty()) return value.node_;
    const auto [name, rest, element] = first_step(left, value);
    auto node = std::make_unique<Node>();
    if (old)
      *node = *old->node_;
    else
      *node = {Node::Kind::map, value.node_->file, value.line(), {}, {}, {}, {}, 1, 0};
    const auto wanted = element ? Node::Kind::list : Node::Kind::map;
    const std::size_t place =
        node->kind == wanted ? (old ? old->place_of(name, element) : 0) : node->children.size();
    if (node->kind != wanted || (element && place == node->children.size()))
      throw InputError(value.file(), value.line(),
                       fmt::format("{}: {} has no such {}", path, so_far.empty() ? file() : so_far,
                                   element ? "element" : "key"),
                       element ? "an element's number, or the name in it" : "a path");
    const std::string here = element ? fmt::format("{}[{}]", so_far, name) : join_path(so_far, name);
    std::optional<Yaml> below;
    if (place < node->children.size()) below = child(node->children[place], here);
    const Node* changed = self(self, below, here, rest);
    if (below) {
      node->children[place] = changed;
    } else {
      node->keys.emplace_back(name);
      node->key_lines.push_back(value.line());
      node->children.push_back(changed);
    }
    return document->nodes.emplace_back(std::move(node)).get();
  };
  document->root = change(change, *this, path_, path);
  const Node* root = document->root;
  return Yaml(std::move(document), root, path_);
}

Yaml Yaml::replaced(const std::string& scalar) const {
  auto document = std::make_shared<Document>();
  document->file = file();
  document->nodes.push_back(std::make_unique<Node>());
  Node* node = document->nodes.back().get();
  *node = {Node::Kind::scalar, &document->file, line(), scalar, {}, {}, {}, 1, 0};
  document->root = node;
  return Yaml(std::move(document), node, path_);
}

Yaml Yaml::wrapped(const std::string& key) const {
  auto document = std::make_shared<Document>();
  document->file = file();
  document->others = {document_};
  document->nodes.push_back(std::make_unique<Node>());
  Node* node = document->nodes.back().get();
  *node = {Node::Kind::map, &document->file, line(), {}, {node_}, {key}, {line()}, 1, 0};
  document->root = node;
  return Yaml(std::move(document), node, path_);
}

std::string Yaml::written() const {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < node_->children.size(); ++i)
    parts.push_back((is_map() ? node_->keys[i] + ": " : "") + child(node_->children[i], path_).written());
  if (is_map()) return fmt::format("{{{}}}", fmt::join(parts, ", "));
  if (is_list()) return fmt::format("[{}]", fmt::join(parts, ", "));
  return node_->scalar;
}

const std::string& Yaml::text() const {
  if (!is_scalar() || node_->scalar.empty()) fail("a text");
  for (const char c : node_->scalar)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f')
      fail("a text of one line, without control characters");
  return node_->scalar;
}

const std::string& Yaml::name() const {
  const std::string& name = text();
  if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") != std::string::npos ||
      !std::isalnum(static_cast<unsigned char>(name.front())) || name.size() > 100)
    fail("at most 100 of a-z, 0-9, -, _ and ., the first a letter or digit");
  return name;
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

double Yaml::quantity(const std::string& example, std::span<const std::pair<std::string_view, double>> units,
                      double least, double most) const {
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

namespace {
using Units = std::span<const std::pair<std::string_view, double>>;
using Unit = std::pair<std::string_view, double>;
constexpr Unit kBytes[]{{"B", 1},        {"kB", 1e3},     {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
                        {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
constexpr Unit kSeconds[]{{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}};
constexpr Unit kBandwidths[]{{"B/s", 1},    {"kB/s", 1e3},  {"MB/s", 1e6},
                             {"GB/s", 1e9}, {"TB/s", 1e12}, {"GiB/s", 0x1p30}};
constexpr Unit kRates[]{
    {"GFLOP/s", 1e9}, {"TFLOP/s", 1e12}, {"PFLOP/s", 1e15}, {"GOP/s", 1e9}, {"TOP/s", 1e12}};
constexpr Unit kWatts[]{{"W", 1}, {"mW", 1e-3}, {"kW", 1e3}};
constexpr Unit kJoulesPerByte[]{{"pJ/B", 1e-12}, {"nJ/B", 1e-9}, {"pJ/bit", 8e-12}};
constexpr Unit kDollars[]{{"USD", 1}};
constexpr Unit kShares[]{{"%", 0.01}};
}  // namespace

Bytes Yaml::bytes(Bytes least, Bytes most) const {
  return {std::llround(
      quantity("9 GiB", kBytes, static_cast<double>(least.count), static_cast<double>(most.count)))};
}

Seconds Yaml::seconds(Seconds least, Seconds most) const {
  return {quantity("2.5 us", kSeconds, least.value, most.value)};
}

BytesPerSecond Yaml::bandwidth(BytesPerSecond least, BytesPerSecond most) const {
  return {quantity("25 GB/s", kBandwidths, least.value, most.value)};
}

FlopsPerSecond Yaml::flop_rate(FlopsPerSecond least, FlopsPerSecond most) const {
  return {quantity("165.2 TFLOP/s", kRates, least.value, most.value)};
}

double Yaml::dollars() const { return quantity("1599 USD", kDollars, 0, 1e9); }

double Yaml::share() const { return quantity("25 %", kShares, 0, 1); }

std::pair<double, std::string> Yaml::number_and_unit() const {
  double number = 0;
  const std::string& s = text();
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), number);
  if (error != std::errc() || !std::isfinite(number)) fail("a number, with its unit if it has one");
  return {number, std::string(end, s.data() + s.size())};
}

double Yaml::magnitude() const {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (!is_scalar()) return kNone;
  const char *begin = node_->scalar.data(), *last = begin + node_->scalar.size();
  if (begin != last && *begin == 'x') ++begin;
  double value = 0;
  auto [end, error] = std::from_chars(begin, last, value);
  if (error != std::errc()) return kNone;
  while (end != last && *end == ' ') ++end;
  const std::string_view unit(end, static_cast<std::size_t>(last - end));
  if (unit.empty()) return value;
  for (const Units units : {Units(kBytes), Units(kSeconds), Units(kBandwidths), Units(kRates), Units(kWatts),
                            Units(kJoulesPerByte), Units(kDollars), Units(kShares)})
    for (const auto& [name, factor] : units)
      if (unit == name) return value * factor;
  return kNone;
}

Watts Yaml::power(Watts least, Watts most) const {
  return {quantity("450 W", kWatts, least.value, most.value)};
}

JoulesPerByte Yaml::energy_per_byte(JoulesPerByte least, JoulesPerByte most) const {
  return {quantity("88 pJ/B", kJoulesPerByte, least.value, most.value)};
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
