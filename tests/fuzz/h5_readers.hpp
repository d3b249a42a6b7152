// The readers of HDF5, each with a sound file of its own.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.hpp"

namespace specmoe::fuzz {

struct H5Reader {
  const char* name;
  /// The bytes of sound files.
  std::vector<std::string> (*sound)();
  /// Reads a file and all that is asked of it later.
  void (*read)(const std::filesystem::path& file);
};

const std::vector<H5Reader>& h5_readers();
/// A fuzz target's work: the first byte says which of the reader's sound files, the others how it is changed.
int change_and_read(const char* reader, const std::uint8_t* data, std::size_t size);

}  // namespace specmoe::fuzz
