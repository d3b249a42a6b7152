#include "sim/results/span.hpp"

#include <fmt/format.h>

namespace specmoe {

std::vector<std::pair<int, std::string>> link_rows(const Platform& platform) {
  std::vector<std::pair<int, std::string>> rows;
  for (std::size_t i = 0; i < platform.links.size(); ++i) {
    const Link& link = platform.links[i];
    const int index = static_cast<int>(i);
    rows.emplace_back(row_of({index, true}), fmt::format("{}: {} -> {}", link.name, link.a, link.b));
    rows.emplace_back(row_of({index, false}), fmt::format("{}: {} -> {}", link.name, link.b, link.a));
  }
  return rows;
}

std::string span_label(const char* name, int layer, int expert) {
  std::string text = name;
  if (layer >= 0) text += fmt::format(" L{}", layer);
  if (expert >= 0) text += fmt::format(" E{}", expert);
  return text;
}

}  // namespace specmoe
