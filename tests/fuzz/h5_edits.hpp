// HDF5 files as nobody's writer makes them, by HDF5's own functions: blind bytes rarely get past its checks.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.hpp"

namespace specmoe::fuzz {

/// A sound file, and what can be changed in it.
class H5Subject {
 public:
  explicit H5Subject(std::string image);
  /// Writes the file with the changes that the bytes choose: objects deleted, made links, or replaced by data of other
  /// types, ranks, extents, layouts and filters; attributes deleted or given other types and values; elements changed.
  void write_changed(Choices choices, const std::filesystem::path& file) const;
  const std::string& image() const { return image_; }

 private:
  struct Object {
    std::string path;
    bool dataset;
    std::vector<std::string> attributes;
  };
  std::string image_;
  std::vector<Object> objects_;
};

/// The bytes of the file that `write` makes at the path it is given.
std::string written(const std::function<void(const std::filesystem::path&)>& write);

/// A fuzz target's work: the first byte says which of the sound files, the others how it is changed. A sound file must be
/// read without an error.
int change_and_read(std::vector<std::string> (*sound)(), void (*read)(const std::filesystem::path&),
                    const std::uint8_t* data, std::size_t size);

}  // namespace specmoe::fuzz
