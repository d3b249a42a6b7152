// Strict YAML: duplicate keys and alias cycles are errors on reading, unknown and missing keys when a map is
// opened.
#pragma once
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/base/units.hpp"

namespace specmoe {

/// A node of a YAML document that knows its file, line and path ("links[2].bandwidth"). Cheap to copy; shares
/// the document. Every accessor throws InputError naming file, line, path, the value found and what was
/// expected.
class Yaml {
 public:
  /// @throws InputError if the file cannot be read, is longer than 64 MiB, is not YAML, holds a duplicate key, an alias
  /// cycle, more than a million nodes, or more than 100 levels; what an alias refers to counts as often as it is named.
  static Yaml load(const std::filesystem::path& file);
  static Yaml parse(std::string_view text, const std::string& file_name);

  const std::string& file() const;
  const std::string& path() const { return path_; }
  int line() const;
  /// The whole document as it was read.
  const std::string& source_text() const;

  bool is_map() const;
  bool is_list() const;
  bool is_scalar() const;

  /// Opens a map: every key must be among `keys`. An unknown key is an error that names the nearest known
  /// one.
  void allow_only(const std::vector<std::string_view>& keys) const;
  /// A key that must be there.
  Yaml operator[](std::string_view key) const;
  /// A key that may be there.
  std::optional<Yaml> find(std::string_view key) const;
  /// Key and value pairs in the order of the file.
  std::vector<std::pair<std::string, Yaml>> entries() const;
  /// The elements of a list.
  std::vector<Yaml> items() const;

  /// What a path below this node names: keys joined by ".", elements of lists as "[2]" or by the `name` in them,
  /// "strategies[LRU].cache.capacity".
  std::optional<Yaml> at(std::string_view path) const;
  /// This node in a copy of its document where the value at a path is another; keys and maps on the way are made, list
  /// elements are not. What was taken over still knows its own file and line.
  /// @throws InputError at `value` for a path that leads nowhere
  Yaml with(std::string_view path, const Yaml& value) const;
  /// A scalar with this node's file, line and path.
  Yaml replaced(const std::string& scalar) const;
  /// {key: this}
  Yaml wrapped(const std::string& key) const;
  /// As YAML in one line: [1, {a: b}].
  std::string written() const;

  /// A scalar as it stands.
  const std::string& text() const;
  /// A name that files and folders can have.
  const std::string& name() const;
  bool boolean() const;
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  double number(double least, double most) const;
  /// What a number is, and what stands behind it: 26 and " GB/s" of "26 GB/s".
  std::pair<double, std::string> number_and_unit() const;
  /// In base units, whatever the unit: 2.6e10 of "26 GB/s", 0.25 of "25 %", 2 of "x2"; NaN of what is no number.
  double magnitude() const;
  /// "1599 USD"
  double dollars() const;
  /// "25 %", from 0 to 100 %, as 0.25.
  double share() const;
  /// "9 GiB", "64 kB"; a whole number of bytes. The unit is required.
  Bytes bytes(Bytes least = {0}, Bytes most = {1'000'000'000'000'000'000}) const;
  /// "2.5 us", "3 ms".
  Seconds seconds(Seconds least = {0}, Seconds most = {1e6}) const;
  /// "26 GB/s"; positive.
  BytesPerSecond bandwidth(BytesPerSecond least = {1e3}, BytesPerSecond most = {1e15}) const;
  /// "165.2 TFLOP/s" (also TOP/s for integer rates); positive.
  FlopsPerSecond flop_rate(FlopsPerSecond least = {1e6}, FlopsPerSecond most = {1e20}) const;
  /// "450 W"; positive.
  Watts power(Watts least = {1e-3}, Watts most = {1e5}) const;
  /// "88 pJ/B", "11 pJ/bit", "2 nJ/B".
  JoulesPerByte energy_per_byte(JoulesPerByte least = {0}, JoulesPerByte most = {1e-6}) const;

  /// One of the named choices; the error lists them.
  template <class T>
  T choice(std::initializer_list<std::pair<std::string_view, T>> choices) const {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : choices) {
      if (text() == name) return value;
      names.push_back(name);
    }
    fail_choice(names);
  }

  /// Throws InputError: `file:line: path: "value"; expected <expected>`.
  [[noreturn]] void fail(const std::string& expected) const;
  /// As fail, with a list of the valid names and the nearest one.
  [[noreturn]] void fail_choice(const std::vector<std::string_view>& names) const;

 private:
  struct Node;
  struct Document;
  class Builder;
  Yaml(std::shared_ptr<const Document> document, const Node* node, std::string path);
  std::size_t place_of(std::string_view name, bool element) const;
  Yaml child(const Node* node, std::string path) const { return Yaml(document_, node, std::move(path)); }
  double quantity(const std::string& example, std::span<const std::pair<std::string_view, double>> units,
                  double least, double most) const;

  std::shared_ptr<const Document> document_;
  const Node* node_;
  std::string path_;
};

/// The name among `names` that is nearest to `word` in edit distance, or empty when none is near.
std::string_view nearest_name(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace specmoe
