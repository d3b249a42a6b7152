// RAII over HDF5: one class for a file, one for a dataset that grows. Paths are "/group/name"; groups are
// made on the way. Every failure is an InputError that names the file.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace specmoe {

/// Element types: std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
/// std::int64_t, float, double. Reading converts between them as HDF5 does (values out of range are clipped
/// by HDF5).
class H5File {
 public:
  /// @throws InputError if the file is missing, truncated or not HDF5.
  static H5File open(const std::filesystem::path& file);
  /// Opens for reading and writing.
  static H5File modify(const std::filesystem::path& file);
  /// Makes a new file or empties an old one. @throws InputError if it cannot be written.
  static H5File create(const std::filesystem::path& file);
  H5File(H5File&&) noexcept;
  H5File& operator=(H5File&&) noexcept;
  ~H5File();

  const std::string& name() const { return name_; }
  /// @throws InputError if a link on the way is a soft or external one: no writer makes those, and they lead anywhere.
  bool exists(const std::string& path) const;
  /// Names directly under a group, in alphabetical order.
  std::vector<std::string> list(const std::string& group) const;
  /// Extents of a dataset. @throws InputError if they claim far more elements than its stored bytes can hold, or the
  /// data lie in other files or in a form that no writer makes.
  std::vector<std::int64_t> shape(const std::string& path) const;

  /// Writes a whole dataset, row-major. Data of more than 4 KiB are compressed (shuffle, deflate 4).
  template <class T>
  void write(const std::string& path, std::span<const T> data, std::vector<std::int64_t> shape);
  template <class T>
  void write(const std::string& path, const std::vector<T>& data) {
    write<T>(path, std::span<const T>(data), {static_cast<std::int64_t>(data.size())});
  }
  void write_strings(const std::string& path, const std::vector<std::string>& data);

  /// Reads a whole dataset, whatever its shape, row-major. @throws InputError if it is missing, damaged, or
  /// claims far more elements than its stored bytes can hold.
  template <class T>
  std::vector<T> read(const std::string& path) const;
  /// Reads rows first .. first+count-1 of the first dimension into `out` (count * row size elements).
  template <class T>
  void read_rows(const std::string& path, std::int64_t first, std::int64_t count, std::span<T> out) const;
  /// Likewise of text of variable length.
  std::vector<std::string> read_strings(const std::string& path) const;

  /// Attributes of a group or dataset ("/" for the file). Groups are made when missing.
  void set(const std::string& path, const std::string& attribute, const std::string& value);
  void set(const std::string& path, const std::string& attribute, const char* value) {
    set(path, attribute, std::string(value));
  }
  void set(const std::string& path, const std::string& attribute, double value);
  void set(const std::string& path, const std::string& attribute, std::int64_t value);
  void remove(const std::string& path, const std::string& attribute);
  bool has(const std::string& path, const std::string& attribute) const;
  /// @throws InputError if the attribute is missing, of another type, or an array. A number may be an
  /// integer.
  std::string get_string(const std::string& path, const std::string& attribute) const;
  double get_number(const std::string& path, const std::string& attribute) const;
  std::int64_t get_integer(const std::string& path, const std::string& attribute) const;

  /// Copies a group or dataset, with all below it, from another file.
  void copy_from(const H5File& from, const std::string& from_path, const std::string& to_path);
  void flush();

 private:
  friend class H5Growing;
  H5File(std::string name, std::int64_t id) : name_(std::move(name)), id_(id) {}
  [[noreturn]] void fail(const std::string& what, const std::string& expected = "") const;
  void make_groups(const std::string& path) const;
  void set_attribute(const std::string& path, const std::string& name, std::int64_t type, const void* value);
  std::int64_t open_dataset(const std::string& path) const;
  std::vector<std::int64_t> shape_of(const std::string& path, std::int64_t dataset) const;
  void require_held(const std::string& path, std::int64_t dataset, const std::vector<std::uint64_t>& dims,
                    std::size_t size, double slack) const;

  std::string name_;
  std::int64_t id_;
};

/// A dataset whose first dimension grows as rows are appended; keeps at most one chunk in memory.
class H5Growing {
 public:
  enum class Type { int16, int32, int64, float32, float64 };
  /// @param row shape of one row; empty for a dataset of scalars.
  H5Growing(H5File& file, const std::string& path, Type type, std::vector<std::int64_t> row = {});
  H5Growing(H5Growing&&) noexcept;
  H5Growing& operator=(H5Growing&&) = delete;
  /// Flushes; a failure here is lost, so call flush() to hear of it.
  ~H5Growing();

  /// Appends whole rows, converting to the dataset's type. @throws std::logic_error if they are not whole.
  void append(std::span<const double> values);
  void append(std::span<const std::int64_t> values);
  void append(std::span<const std::int16_t> values);
  void append(double value) { append(std::span<const double>(&value, 1)); }
  void append(std::int64_t value) { append(std::span<const std::int64_t>(&value, 1)); }
  void flush();

 private:
  template <class T>
  void append_any(std::span<const T> values);

  std::string file_name_;
  std::string path_;
  std::int64_t dataset_;
  Type type_;
  std::vector<std::int64_t> row_;
  std::int64_t row_size_ = 1;
  std::int64_t chunk_rows_;
  std::int64_t rows_ = 0;
  std::vector<double> buffer_;
  std::vector<std::int64_t> integers_;
};

}  // namespace specmoe
