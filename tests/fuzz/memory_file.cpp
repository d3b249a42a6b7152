#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>

#include "tests/fuzz/fuzz.hpp"

namespace specmoe::fuzz {

MemoryFile::MemoryFile() : fd_(::memfd_create("fuzz", 0)) {
  if (fd_ < 0) throw std::runtime_error("no file in memory");
  path_ = "/proc/self/fd/" + std::to_string(fd_);
}

void MemoryFile::write(std::string_view content) {
  if (::ftruncate(fd_, 0) != 0 ||
      ::pwrite(fd_, content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
    throw std::runtime_error("a file in memory cannot be written");
}

}  // namespace specmoe::fuzz
