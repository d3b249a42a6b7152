// What the tests of traces share: a folder that goes away, the text of an error, all rows of a request.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "models/moe/routing/routing.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "specmoe-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// Writes a file and returns where it is.
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// The text of the InputError that `work` throws; "" if it throws none.
template <class Work>
std::string message_of(Work work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

/// A file as it stands.
inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// [row, layer, rank] of a whole request.
inline std::vector<std::int16_t> rows_of(RoutingSource& source, std::int64_t request) {
  const RequestInfo info = source.request(request);
  const std::int64_t rows = info.prefill_rows + info.decode_rows;
  std::vector<std::int16_t> out(static_cast<std::size_t>(rows * source.layers() * source.top_k()));
  source.read(request, 0, rows, out);
  return out;
}

}  // namespace specmoe
