// Progress and errors go to stderr. Nobody need read them: a closed or full stderr is no error.
#pragma once
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace specmoe {

inline void say(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

/// A line on a terminal that is written over: what is done, and how long the rest is likely to take. Silent elsewhere.
class Progress {
 public:
  void show(const std::string& what, double share) const {
    if (!terminal_) return;
    const double gone = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    say(fmt::format("\r\033[K{}: {:.0f} %, {:.0f} s left", what, share * 100,
                    share > 0 ? gone / share - gone : 0));
  }
  /// Where no share is known.
  void note(const std::string& what) const {
    if (terminal_) say("\r\033[K" + what);
  }
  void clear() const {
    if (terminal_) say("\r\033[K");
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace specmoe
