// What runs have returned, kept while a study goes on: whoever is killed at any time finds it again.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace specmoe {

/// Results under the key of all that they depend on. A folder of files that only grow, one for each writer: several
/// processes may write side by side, each under its own name. A record that was cut short or damaged counts as not
/// there, and so does what follows a head that is damaged.
class Journal {
 public:
  /// @param writer the name of the file that this process writes.
  /// @throws InputError if the folder cannot be written, or another process writes under the same name.
  Journal(const std::filesystem::path& folder, const std::string& writer);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  bool has(std::uint64_t key) const { return places_.count(key) > 0; }
  /// Is in the file when it returns: what kills the process does not kill the record.
  /// @throws InputError if the disk is full.
  void append(std::uint64_t key, const std::string& result);
  /// @throws std::logic_error if it is not there
  std::string read(std::uint64_t key) const;
  std::size_t size() const { return places_.size(); }

 private:
  struct Place {
    std::uint32_t file;
    std::uint32_t size;
    std::int64_t offset;
  };
  /// @return the end of its last whole record
  std::int64_t index(std::uint32_t file);

  std::vector<std::filesystem::path> names_;
  std::vector<int> files_;  // open for reading; the first is our own, open for both
  std::int64_t end_ = 0;    // of our own
  std::unordered_map<std::uint64_t, Place> places_;
};

}  // namespace specmoe
