#include "sim/base/file_lock.hpp"

#include <sys/file.h>
#include <unistd.h>

namespace specmoe {

bool lock_file(int file) {
  for (int i = 0; i < 100; ++i) {
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return true;
    ::usleep(20'000);
  }
  return false;
}

}  // namespace specmoe
