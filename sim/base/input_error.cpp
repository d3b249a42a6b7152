#include "sim/base/input_error.hpp"

namespace specmoe {

static std::string one_line(const std::string& file, int line, const std::string& what,
                            const std::string& expected) {
  std::string text = file;
  if (line > 0) text.append(":").append(std::to_string(line));
  if (!text.empty()) text += ": ";
  text += what;
  if (!expected.empty()) text.append("; expected ").append(expected);
  for (char& c :
       text)  // a value from a file may hold anything; the line stays one, and harmless to a terminal
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  return text;
}

InputError::InputError(std::string file_, int line_, std::string what, std::string expected)
    : std::runtime_error(one_line(file_, line_, what, expected)), file(std::move(file_)), line(line_) {}

}  // namespace specmoe
