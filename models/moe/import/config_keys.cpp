#include "models/moe/import/config_keys.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/base/input_error.hpp"

namespace specmoe {

using Json = nlohmann::json;

struct Config::Document {
  std::string file, text;
  Json root;
};

struct Config::Found {
  std::string path;  // from the root
  const Json* value;
};

namespace {

/// The value at a path of keys joined by dots, or none.
const Json* value_at(const Json& root, std::string_view path) {
  const Json* at = &root;
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    if (!at->is_object()) return nullptr;
    const auto next = at->find(std::string(path.substr(0, dot)));
    if (next == at->end()) return nullptr;
    at = &*next;
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  return at->is_null() ? nullptr : at;
}

/// Where a path's keys stand in the text, one after another; a JSON library forgets.
int line_of(std::string_view text, std::string_view path) {
  std::size_t at = 0;
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    const std::size_t next = text.find(fmt::format("\"{}\"", path.substr(0, dot)), at);
    if (next == std::string_view::npos) return 0;  // written with escapes
    at = next;
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

bool whole(const Json& value, std::int64_t least, std::int64_t most) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return false;
  return value.is_number_integer() && value.get<std::int64_t>() >= least && value.get<std::int64_t>() <= most;
}

}  // namespace

Config::Config(std::shared_ptr<const Document> document, std::string path)
    : document_(std::move(document)), path_(std::move(path)) {}

Config Config::parse(std::string_view text, const std::string& file) {
  constexpr int kMostDepth = 32;
  const auto shallow = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMostDepth)
      throw InputError(file, 0, "nested too deep", fmt::format("at most {} levels", kMostDepth));
    return true;
  };
  auto document = std::make_shared<Document>();
  document->file = file;
  document->text = text;
  try {
    document->root = Json::parse(text, shallow);
  } catch (const Json::exception& error) {  // a number beyond a double's range is no parse_error
    const auto* parse = dynamic_cast<const Json::parse_error*>(&error);
    const std::size_t at = std::min(parse ? parse->byte : 0, text.size());
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    throw InputError(file, parse ? static_cast<int>(line) : 0, "is not JSON",
                     "a config.json of Hugging Face transformers");
  }
  if (!document->root.is_object())
    throw InputError(file, 0, "is no JSON object", "a config.json of Hugging Face transformers");
  return Config(std::move(document), "");
}

const std::string& Config::file() const { return document_->file; }

std::optional<Config::Found> Config::find(const Keys& keys) const {
  for (const std::string_view key : keys) {
    const std::string path = path_ + std::string(key);
    if (const Json* value = value_at(document_->root, path)) return Found{path, value};
  }
  return std::nullopt;
}

bool Config::has(const Keys& keys) const { return find(keys).has_value(); }

bool Config::is_list(const Keys& keys) const {
  const auto found = find(keys);
  return found && found->value->is_array();
}

std::optional<Config> Config::object(std::string_view key) const {
  const auto found = find({key});
  if (!found) return std::nullopt;
  if (!found->value->is_object()) fail(*found, "an object");
  return Config(document_, found->path + ".");
}

void Config::fail(const Found& found, const std::string& expected) const {
  constexpr std::size_t kMostShown = 60;
  std::string value = found.value->is_structured()
                          ? (found.value->is_array() ? "a list" : "an object")
                          : found.value->dump(-1, ' ', false, Json::error_handler_t::replace);
  if (value.size() > kMostShown) value = value.substr(0, kMostShown) + "...";
  throw InputError(file(), line_of(document_->text, found.path), fmt::format("{}: {}", found.path, value),
                   expected);
}

void Config::fail(const Keys& keys, const std::string& expected) const {
  if (const auto found = find(keys)) fail(*found, expected);
  fail_missing(keys);
}

void Config::fail_missing(const Keys& keys) const {
  throw InputError(file(), 0, fmt::format("{}{}: missing", path_, fmt::join(keys, " or ")),
                   keys.size() > 1 ? "one of these keys" : "this key");
}

std::optional<std::int64_t> Config::find_integer(const Keys& keys, std::int64_t least,
                                                 std::int64_t most) const {
  const auto found = find(keys);
  if (!found) return std::nullopt;
  const Json* value = found->value;
  if (value->is_array() && !value->empty()) {
    const Json& first = value->front();
    if (!std::all_of(value->begin(), value->end(), [&](const Json& each) { return each == first; }))
      fail(*found, "one number for all layers");
    value = &first;
  }
  if (!whole(*value, least, most)) fail(*found, fmt::format("a whole number from {} to {}", least, most));
  return value->get<std::int64_t>();
}

std::int64_t Config::integer(const Keys& keys, std::int64_t least, std::int64_t most) const {
  const auto found = find_integer(keys, least, most);
  if (!found) fail_missing(keys);
  return *found;
}

bool Config::flag(const Keys& keys, bool otherwise) const {
  const auto found = find(keys);
  if (!found) return otherwise;
  if (!found->value->is_boolean()) fail(*found, "true or false");
  return found->value->get<bool>();
}

std::optional<std::string> Config::text(const Keys& keys) const {
  const auto found = find(keys);
  if (!found) return std::nullopt;
  if (!found->value->is_string()) fail(*found, "a text");
  return found->value->get<std::string>();
}

std::optional<std::vector<std::string>> Config::texts(const Keys& keys) const {
  const auto found = find(keys);
  if (!found) return std::nullopt;
  std::vector<std::string> list;
  if (!found->value->is_array()) fail(*found, "a list of texts");
  for (const Json& each : *found->value) {
    if (!each.is_string()) fail(*found, "a list of texts");
    list.push_back(each.get<std::string>());
  }
  return list;
}

std::optional<std::vector<std::int64_t>> Config::integers(const Keys& keys) const {
  const auto found = find(keys);
  if (!found) return std::nullopt;
  std::vector<std::int64_t> list;
  if (!found->value->is_array()) fail(*found, "a list of whole numbers");
  for (const Json& each : *found->value) {
    if (each.is_boolean())
      list.push_back(each.get<bool>() ? 1 : 0);
    else if (whole(each, INT64_MIN, INT64_MAX))
      list.push_back(each.get<std::int64_t>());
    else
      fail(*found, "a list of whole numbers");
  }
  return list;
}

}  // namespace specmoe
