// What the fuzz targets share. A target is one file, <reader>_fuzz.cpp, with LLVMFuzzerTestOneInput; libFuzzer or driver.cpp
// calls it with bytes that somebody might have in a file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "sim/base/input_error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace specmoe::fuzz {

/// Does what a user would with a file. An InputError is what a bad file deserves; anything else that is thrown ends the
/// program, which is a finding.
template <class Work>
void read(Work&& work) {
  try {
    work();
  } catch (const InputError&) {
  }
}

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// A file in memory with a path, for readers that want one; its content changes, the file stays.
class MemoryFile {
 public:
  MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile();
  void write(std::string_view content);
  const std::filesystem::path& path() const { return path_; }

 private:
  int fd_;
  std::filesystem::path path_;
};

/// Numbers out of a fuzzer's bytes, 0 where there are no more.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : left_(data, size) {}
  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const std::uint8_t value = left_.front();
    left_ = left_.subspan(1);
    return value;
  }
  std::size_t below(std::size_t count) { return count == 0 ? 0 : byte() % count; }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }

 private:
  std::span<const std::uint8_t> left_;
};

}  // namespace specmoe::fuzz
