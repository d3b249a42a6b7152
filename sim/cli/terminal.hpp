// Progress and errors go to stderr. Nobody need read them: a closed or full stderr is no error.
#pragma once
#include <cstdio>
#include <string>

namespace specmoe {

inline void say(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace specmoe
