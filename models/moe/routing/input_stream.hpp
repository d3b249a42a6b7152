// Reading a file or its gzip form from front to back, in constant memory.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace specmoe {

/// A file read once; gzip is unpacked on the way. Every failure is an InputError that names the file (and
/// line).
class InputStream {
 public:
  /// @throws InputError if there is no such file, or one called .gz is no gzip.
  explicit InputStream(const std::filesystem::path& file);
  InputStream(InputStream&&) noexcept;
  ~InputStream();

  /// The next line without its end; false when there is none.
  bool line(std::string& out);
  /// Number of the last line() read, from 1.
  int line_number() const { return line_; }
  /// Fills `out`. @throws InputError if the file ends before.
  void bytes(std::span<std::byte> out);
  /// Fills an array or vector with little-endian numbers, or a string.
  void values(auto& out) { bytes(std::as_writable_bytes(std::span(out))); }
  /// @throws InputError if there is more to read.
  void require_end();

  const std::string& name() const { return name_; }
  /// @throws InputError about the line that was read last.
  [[noreturn]] void fail(const std::string& what, const std::string& expected = "") const;

 private:
  bool refill();

  std::string name_;
  void* file_ = nullptr;  // gzFile
  std::vector<char> buffer_;
  std::size_t next_ = 0, end_ = 0;
  int line_ = 0;
};

/// The fields of a line of comma-separated values; a field in double quotes may hold commas and doubled
/// quotes.
std::vector<std::string> csv_fields(const std::string& line);

}  // namespace specmoe
