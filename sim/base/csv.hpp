#pragma once
#include <string>

namespace specmoe {

/// A text as a field of a CSV file (RFC 4180): in quotes, and quotes in it twice.
inline std::string csv_field(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

}  // namespace specmoe
