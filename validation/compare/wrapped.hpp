#pragma once
#include <algorithm>
#include <string>

namespace specmoe {

/// A text in lines of at most `width` characters, each after `indent` blanks.
inline std::string wrapped(const std::string& all, std::size_t indent, std::size_t width) {
  std::string out, line;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find(' ', at), all.size());
    const std::string word = all.substr(at, end - at);
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      out += std::string(indent, ' ') + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    at = end + 1;
  }
  return out + std::string(indent, ' ') + line + "\n";
}

}  // namespace specmoe
