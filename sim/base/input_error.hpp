#pragma once
#include <stdexcept>
#include <string>

namespace specmoe {

/// Something the user gave is wrong. what() is one line: `file:line: what; expected`. The line is left out
/// when it is 0, the expectation when it is empty. Only cli catches it; it exits with 2.
class InputError : public std::runtime_error {
 public:
  InputError(std::string file, int line, std::string what, std::string expected = "");

  std::string file;
  int line;
};

}  // namespace specmoe
