#include "sim/detect/platform_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace specmoe {

namespace {

// Keys in the order in which they came first.
struct Tree {
  std::string number;  // of a leaf
  std::vector<std::pair<std::string, std::unique_ptr<Tree>>> below;

  Tree& at(const std::string& path) {
    if (path.empty()) return *this;
    const std::size_t dot = std::min(path.find('.'), path.size());
    const std::string key = path.substr(0, dot);
    auto found =
        std::find_if(below.begin(), below.end(), [&](const auto& each) { return each.first == key; });
    if (found == below.end()) found = below.emplace(below.end(), key, std::make_unique<Tree>());
    return found->second->at(dot == path.size() ? "" : path.substr(dot + 1));
  }
  void write(std::string& out, std::size_t indent) const {
    for (const auto& [key, tree] : below) {
      out += fmt::format("{}{}{}:{}\n", indent ? "" : "\n", std::string(indent, ' '), key,
                         tree->number.empty() ? "" : " " + tree->number);
      tree->write(out, indent + 2);
    }
  }
};

// What machines tell may hold anything.
std::string quoted(std::string text) {
  for (char& c : text)
    if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '\'';
  return '"' + text + '"';
}

}  // namespace

std::string PlatformText::text(const std::string& name, const std::string& description,
                               const std::string& like) const {
  Tree tree;
  for (const char* part : {"memories", "links", "devices"})
    for (const Number& number : numbers_)
      if (number.path.starts_with(part))
        tree.at(number.path).number =
            fmt::format("{{value: {}, source: {}{}}}", number.value, quoted(number.source),
                        number.guessed ? ", unverified: true" : "");
  std::string out =
      fmt::format("name: {}\ndescription: {}\nlike: {}\n", quoted(name), quoted(description), like);
  tree.write(out, 0);
  return out;
}

}  // namespace specmoe
