// Finds a platform's file, and makes a file that is like another whole: it holds the numbers that differ, all else is
// carried over, and says so.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "models/hardware/platform.hpp"
#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

namespace fs = std::filesystem;

std::optional<fs::path> file_of(const std::string& name_or_file, const fs::path& folder) {
  std::error_code ignored;
  for (const fs::path& file : {folder / name_or_file, home() / "platforms" / (name_or_file + ".yaml")})
    if (fs::is_regular_file(file, ignored)) return file;
  return std::nullopt;
}

std::string known_platforms() {
  return fmt::format("a file or one of {}", fmt::join(platform_names(), ", "));
}

using Leaf = std::pair<std::string, Yaml>;

// A number with its source, a group of them, or a plain text or list: what is taken over whole or not at all.
bool is_leaf(const Yaml& y) {
  return !y.is_map() || y.entries().empty() || y.find("value") || y.find("source") || y.find("unverified");
}

void leaves(const Yaml& y, std::vector<Leaf>& all) {
  for (const auto& [key, below] : y.entries())
    if (is_leaf(below))
      all.emplace_back(below.path(), below);
    else
      leaves(below, all);
}

bool is_below(const std::string& path, const std::string& of) {
  return path == of || (path.starts_with(of) && path[of.size()] == '.');
}

Yaml carried_over(const Yaml& leaf, const std::string& from) {
  if (!leaf.is_map()) return leaf;
  const auto source = leaf.find("source");
  if (!source) return leaf;
  const std::string before = source->text().starts_with("carried over from ")
                                 ? source->text()
                                 : fmt::format("carried over from {}: {}", from, source->text());
  return leaf.with("source", source->replaced(before)).with("unverified", source->replaced("true"));
}

// In the order of the base, then what it has not.
Yaml whole(const Yaml& own, const Yaml& base) {
  std::vector<Leaf> of_base, of_own, all;
  leaves(base, of_base);
  leaves(own, of_own);
  const auto given = [&](const Leaf& leaf) {
    return std::find_if(of_own.begin(), of_own.end(),
                        [&](const Leaf& each) { return each.first == leaf.first; });
  };
  std::vector<std::string> without{"name", "description", "price"};  // a file's own
  if (const auto paths = own.find("without"))
    for (const Yaml& path : paths->items()) {
      if (std::none_of(of_base.begin(), of_base.end(),
                       [&](const Leaf& leaf) { return is_below(leaf.first, path.text()); }))
        path.fail(fmt::format("a path in {}, e.g. {}", base.file(), of_base.back().first));
      without.push_back(path.text());
    }
  const std::string from = base["name"].text();
  for (const Leaf& leaf : of_base) {
    const bool dropped = std::any_of(without.begin(), without.end(),
                                     [&](const std::string& path) { return is_below(leaf.first, path); });
    const auto instead = given(leaf);
    if (instead != of_own.end())
      all.push_back(*instead);
    else if (!dropped)
      all.emplace_back(leaf.first, carried_over(leaf.second, from));
  }
  for (const Leaf& leaf : of_own)
    if (leaf.first != "like" && leaf.first != "without" &&
        std::none_of(all.begin(), all.end(), [&](const Leaf& each) { return each.first == leaf.first; }))
      all.push_back(leaf);
  Yaml out = Yaml::parse("{}", own.file());
  for (const auto& [path, value] : all) out = out.with(path, value);
  return out;
}

// `so_far`: the files on the way, whose last is like the next.
Yaml complete(const Yaml& own, std::vector<fs::path>& so_far) {
  const auto like = own.is_map() ? own.find("like") : std::nullopt;
  if (!like) return own;
  const auto base = file_of(like->text(), fs::path(own.file()).parent_path());
  if (!base) like->fail(known_platforms());
  std::error_code ignored;
  for (const fs::path& before : so_far)
    if (fs::equivalent(before, *base, ignored)) like->fail("another platform, that is not like this one");
  so_far.push_back(*base);
  return whole(own, complete(Yaml::load(*base), so_far));
}

}  // namespace

Yaml Platform::open(const std::string& name_or_file, std::vector<std::filesystem::path>* files) {
  const auto file = file_of(name_or_file, "");
  if (!file)
    throw InputError("", 0, fmt::format("platform \"{}\" is unknown", name_or_file), known_platforms());
  return complete(Yaml::load(*file), files);
}

Yaml Platform::complete(const Yaml& document, std::vector<std::filesystem::path>* files) {
  std::vector<fs::path> read{document.file()};
  const Yaml done = specmoe::complete(document, read);
  if (files) files->insert(files->end(), read.begin(), read.end());
  return done;
}

std::vector<std::string> platform_names() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(home() / "platforms", ignored))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace specmoe
