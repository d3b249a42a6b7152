#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "tests/fuzz/fuzz.hpp"

namespace specmoe::fuzz {

// In /dev/shm where there is one. Not a memfd: HDF5 wants a path that realpath() finds.
MemoryFile::MemoryFile() {
  std::error_code ignored;
  const std::filesystem::path shared = "/dev/shm";
  const bool is_there = std::filesystem::is_directory(shared, ignored);
  std::string name = ((is_there ? shared : std::filesystem::temp_directory_path()) / "fuzz-XXXXXX").string();
  fd_ = ::mkstemp(name.data());
  if (fd_ < 0) throw std::runtime_error("no file in memory");
  path_ = name;
}

MemoryFile::~MemoryFile() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
  ::close(fd_);
}

void MemoryFile::write(std::string_view content) {
  if (::ftruncate(fd_, 0) != 0 ||
      ::pwrite(fd_, content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
    throw std::runtime_error("a file in memory cannot be written");
}

}  // namespace specmoe::fuzz
