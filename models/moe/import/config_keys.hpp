// A config.json: keys with several spellings, values within bounds, errors that name file, line and key.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace specmoe {

/// An object of the document. `keys` are spellings of one thing, tried in order; "ffn_config.top_k" is a key of an
/// object within. A key that is null is missing. Cheap to copy; shares the document.
class Config {
 public:
  using Keys = std::vector<std::string_view>;

  /// @throws InputError if the text is no JSON, no object, or nested deeper than 32 levels
  static Config parse(std::string_view text, const std::string& file);

  const std::string& file() const;
  bool has(const Keys& keys) const;
  bool is_list(const Keys& keys) const;
  std::optional<Config> object(std::string_view key) const;

  /// A whole number, or a list in which every layer has the same.
  std::optional<std::int64_t> find_integer(const Keys& keys, std::int64_t least, std::int64_t most) const;
  /// @throws InputError that names all spellings if the key is missing
  std::int64_t integer(const Keys& keys, std::int64_t least, std::int64_t most) const;
  bool flag(const Keys& keys, bool otherwise) const;
  std::optional<std::string> text(const Keys& keys) const;
  /// A list of texts.
  std::optional<std::vector<std::string>> texts(const Keys& keys) const;
  /// A list of whole numbers or of true and false (1 and 0).
  std::optional<std::vector<std::int64_t>> integers(const Keys& keys) const;

  /// Throws InputError `file:line: key: value; expected ...` about the first of `keys` that is there.
  [[noreturn]] void fail(const Keys& keys, const std::string& expected) const;
  [[noreturn]] void fail_missing(const Keys& keys) const;

 private:
  struct Document;
  struct Found;
  Config(std::shared_ptr<const Document> document, std::string path);
  std::optional<Found> find(const Keys& keys) const;
  [[noreturn]] void fail(const Found& found, const std::string& expected) const;

  std::shared_ptr<const Document> document_;
  std::string path_;  // "" or "text_config."
};

}  // namespace specmoe
