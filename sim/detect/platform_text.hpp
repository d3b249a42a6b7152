// A platform file as text: numbers by their paths, each with its source.
#pragma once
#include <string>
#include <vector>

namespace specmoe {

/// Takes numbers one by one and writes them in the order of their maps.
class PlatformText {
 public:
  /// @param path "memories.vram.capacity" @param value with its unit, "24 GiB" @param source where it was read
  void read(const std::string& path, const std::string& value, const std::string& source) {
    numbers_.push_back({path, value, source, false});
  }
  /// Likewise, of a number that is not verified.
  void guess(const std::string& path, const std::string& value, const std::string& source) {
    numbers_.push_back({path, value, source, true});
  }
  /// A file that is like another but for these numbers.
  std::string text(const std::string& name, const std::string& description, const std::string& like) const;

 private:
  struct Number {
    std::string path, value, source;
    bool guessed;
  };
  std::vector<Number> numbers_;
};

}  // namespace specmoe
