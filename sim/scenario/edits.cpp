#include "sim/scenario/edits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

[[noreturn]] void fail(const Edit& edit, const std::string& expected) {
  throw InputError(
      edit.value.file(), edit.value.line(),
      fmt::format("{}: {}", edit.path, edit.value.is_scalar() ? edit.value.text() : "not one value"),
      expected);
}

// "x2" -> 2
std::optional<double> factor_of(const Yaml& value) {
  if (!value.is_scalar() || !value.text().starts_with('x')) return std::nullopt;
  const std::string& s = value.text();
  double factor = 0;
  const auto [end, error] = std::from_chars(s.data() + 1, s.data() + s.size(), factor);
  if (error != std::errc() || end != s.data() + s.size() || !std::isfinite(factor) || factor < 0)
    return std::nullopt;
  return factor;
}

// "26 GB/s" times 2 -> "52 GB/s"
std::string multiply(const Yaml& number, double factor, const Edit& edit) {
  double value = 0;
  const std::string& s = number.is_scalar() ? number.text() : edit.path;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (!number.is_scalar() || error != std::errc()) fail(edit, "a factor only where a number stands");
  return fmt::format("{:.12g}{}", value * factor,
                     std::string_view(end, static_cast<std::size_t>(s.data() + s.size() - end)));
}

Yaml apply(const Yaml& document, const Edit& edit) {
  auto old = document.at(edit.path);
  const bool sourced = old && old->is_map() && old->find("value") && old->find("source");
  const std::string path = edit.path + (sourced ? ".value" : "");
  if (sourced) old = old->find("value");
  const auto factor = factor_of(edit.value);
  if (factor && !old) fail(edit, "a factor only where a number stands");
  const Yaml value = factor ? edit.value.replaced(multiply(*old, *factor, edit)) : edit.value;
  const Yaml changed = document.with(path, value);
  if (!sourced) return changed;
  return changed.with(edit.path + ".source",
                      edit.value.replaced(fmt::format("what if; else {}: {}", old->text(),
                                                      document.at(edit.path + ".source")->text())));
}

// The paths that "links.<name>.bandwidth" and "links.<name>.latency" stand for; none for others.
std::vector<std::string> both_directions(const Yaml& document, const std::string& path) {
  const std::size_t dot = path.rfind('.');
  if (!path.starts_with("links.") || dot == std::string::npos) return {};
  const std::string link = path.substr(0, dot), key = path.substr(dot + 1);
  const auto found = document.at(link);
  if (!found || !found->is_map() || !found->find("forward")) return {};
  if (key == "bandwidth") return {link + ".forward.bandwidth", link + ".backward.bandwidth"};
  if (key == "latency") return {link + ".forward.latency", link + ".backward.latency"};
  return {};
}

}  // namespace

Yaml apply_edits(Yaml document, const std::vector<Edit>& edits) {
  for (const Edit& edit : edits) {
    const auto paths = both_directions(document, edit.path);
    if (paths.empty()) {
      document = apply(document, edit);
      continue;
    }
    // What both directions have together.
    const auto sum = [&] {
      double all = 0;
      for (const std::string& path : paths) {
        const auto entry = document.at(path);
        const auto number = entry && entry->is_map() ? entry->find("value") : entry;
        if (!number) fail(edit, "a link with a number in both directions");
        all += edit.path.ends_with(".bandwidth") ? number->bandwidth().value : 0;
      }
      return all;
    };
    const double before = sum();
    for (const std::string& path : paths) document = apply(document, {path, edit.value});
    const std::string duplex = edit.path.substr(0, edit.path.rfind('.')) + ".duplex";
    // Both ways at once as much faster as one way.
    if (edit.path.ends_with(".bandwidth") && document.at(duplex))
      document = apply(document, {duplex, edit.value.replaced(fmt::format("x{}", sum() / before))});
  }
  return document;
}

SortedEdits sort_edits(const std::vector<Edit>& edits) {
  SortedEdits sorted;
  for (const Edit& edit : edits) {
    const std::string& path = edit.path;
    if (path.starts_with("platform.")) {
      sorted.platform.push_back({path.substr(9), edit.value});
    } else if (path.starts_with("model.") &&
               std::find(kModelKeys.begin(), kModelKeys.end(), std::string_view(path).substr(6)) ==
                   kModelKeys.end()) {
      sorted.model.push_back({path.substr(6), edit.value});
    } else {
      sorted.scenario.push_back(edit);
    }
  }
  // Which platform or model comes before what changes in it.
  std::stable_partition(sorted.scenario.begin(), sorted.scenario.end(),
                        [](const Edit& edit) { return edit.path == "platform" || edit.path == "model"; });
  return sorted;
}

}  // namespace specmoe
