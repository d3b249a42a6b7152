#include "sim/base/input_error.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace specmoe;
using namespace std::string_literals;

TEST_CASE("input error: one line of file, line, what and what was expected") {
  const InputError error("a.yaml", 17, "size: \"25\"", "a number with unit");
  CHECK(error.what() == "a.yaml:17: size: \"25\"; expected a number with unit"s);
  CHECK(error.file == "a.yaml");
  CHECK(error.line == 17);
}

TEST_CASE("input error: leaves out what it does not know") {
  CHECK(InputError("a.h5", 0, "is truncated").what() == "a.h5: is truncated"s);
  CHECK(InputError("", 0, "no GPU", "one").what() == "no GPU; expected one"s);
}

TEST_CASE("input error: stays one line, and whole, whatever a file made it quote") {
  CHECK(InputError("a", 1, "x\ny\r\tz").what() == "a:1: x y  z"s);
  // An escape sequence would colour the terminal, a null would cut the text.
  CHECK(InputError("a", 1, "x\x1b[31m\0z\x7f"s, "y").what() == "a:1: x [31m z ; expected y"s);
  CHECK(InputError("a", 1, "né").what() == "a:1: né"s);  // UTF-8 passes
}
