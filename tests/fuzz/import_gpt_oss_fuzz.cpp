// The directory of gpt-oss routing: meta.json, NUL, requests.csv, NUL, and what is packed in the other three files: a sixth
// of the rest in experts, two in weights, three in ids.
#include <zlib.h>

#include <array>
#include <string>

#include "tests/fuzz/import_fuzz.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;

namespace {

// gzip without compression: a member of one stored piece.
std::string packed(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, Z_NO_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct Directory {
  static constexpr std::array<const char*, 5> kNames{"meta.json", "requests.csv", "experts.u8.gz",
                                                     "weights.bf16le.gz", "token_local_ids.u32le.gz"};
  TemporaryFolder folder;
  std::array<fuzz::MemoryFile, 5> files;
  Directory() {
    for (std::size_t i = 0; i < files.size(); ++i)
      std::filesystem::create_symlink(files[i].path(), folder / kNames[i]);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Directory directory;
  std::string_view rest = fuzz::text(data, size);
  const auto next = [&] {
    const std::string_view part = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    return part;
  };
  directory.files[0].write(next());
  directory.files[1].write(next());
  const std::size_t part = rest.size() / 6;
  directory.files[2].write(packed(rest.substr(0, part)));
  directory.files[3].write(packed(rest.substr(part, 2 * part)));
  directory.files[4].write(packed(rest.substr(3 * part)));
  fuzz::import_and_read(import_gpt_oss, {directory.folder / ""});
  return 0;
}
