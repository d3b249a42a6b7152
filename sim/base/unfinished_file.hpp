// A file that appears under its name when it is whole.
#pragma once
#include <filesystem>
#include <utility>

namespace specmoe {

/// Write to path(), close it, publish(). What was not published is removed.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(std::filesystem::path file) : file_(std::move(file)) {}
  UnfinishedFile(UnfinishedFile&& other) noexcept : file_(std::exchange(other.file_, {})) {}
  UnfinishedFile& operator=(UnfinishedFile&&) = delete;
  ~UnfinishedFile();

  const std::filesystem::path& file() const { return file_; }
  std::filesystem::path path() const { return file_.string() + ".unfinished"; }
  /// @throws InputError if it cannot be moved into place.
  void publish();

 private:
  std::filesystem::path file_;  // empty: published, or moved from
};

}  // namespace specmoe
