#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>

#include "models/moe/routing/input_stream.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {
namespace {

static_assert(std::endian::native == std::endian::little, "the files that are read are little endian");

// The text after "'key':" in the dictionary of the header, up to the end of its value.
std::string value_of(const std::string& dictionary, const std::string& key) {
  std::size_t at = dictionary.find('\'' + key + "':");
  if (at == std::string::npos) return "";
  at = dictionary.find_first_not_of(' ', at + key.size() + 3);
  if (at == std::string::npos) return "";
  const std::size_t end =
      dictionary[at] == '(' ? dictionary.find(')', at) : dictionary.find_first_of(",}", at);
  return end == std::string::npos ? "" : dictionary.substr(at, end - at);
}

// A .npy of integers [token, layer, rank], read token by token.
// Format: numpy.lib.format, "\x93NUMPY", version, length of the header, header, data.
class NpyReader {
 public:
  explicit NpyReader(const std::filesystem::path& file) : in_(file) {
    std::array<char, 8> magic;
    in_.values(magic);
    if (!std::string_view(magic.data(), magic.size()).starts_with("\x93NUMPY"))
      fail("is no .npy file", "a file made by numpy.save");
    if (magic[6] < 1 || magic[6] > 3)
      fail(fmt::format("is a .npy of version {}", int{magic[6]}), "version 1 to 3");
    std::uint32_t length = 0;
    in_.bytes(std::as_writable_bytes(std::span(&length, 1)).subspan(0, magic[6] == 1 ? 2 : 4));
    if (length > 1 << 16) fail(fmt::format("has a header of {} bytes", length), "at most 64 KiB");
    std::string header(length, ' ');
    in_.values(header);

    const std::string type = value_of(header, "descr");
    if (type != "'<i2'" && type != "'<i4'") fail("has elements of the type " + type, "'<i2' or '<i4'");
    wide_ = type == "'<i4'";
    if (value_of(header, "fortran_order") != "False") fail("is not in C order", "fortran_order False");
    const std::string shape = value_of(header, "shape");
    for (const char* at = shape.data(); at < shape.data() + shape.size();) {
      std::int64_t extent = 0;
      const auto [end, error] = std::from_chars(at, shape.data() + shape.size(), extent);
      if (error == std::errc{}) shape_.push_back(extent);
      at = error == std::errc{} ? end : at + 1;
    }
    if (shape_.size() != 3 || shape_[0] < 0 || shape_[0] > std::int64_t{1} << 40 || shape_[1] < 1 ||
        shape_[1] > 10'000 || shape_[2] < 1 || shape_[2] > 32'767 || shape_[1] * shape_[2] > kMostRouted)
      fail("has the shape " + shape + ")", "[token, layer, rank]");
    row_.resize(static_cast<std::size_t>(shape_[1] * shape_[2]));
    narrow_.resize(row_.size());
  }

  std::int64_t tokens() const { return shape_[0]; }
  std::int64_t layers() const { return shape_[1]; }
  std::int64_t top_k() const { return shape_[2]; }
  /// [layer, rank] of the next token.
  std::span<const std::int32_t> next() {
    if (wide_) {
      in_.values(row_);
    } else {
      in_.values(narrow_);
      std::copy(narrow_.begin(), narrow_.end(), row_.begin());
    }
    for (const std::int32_t expert : row_)
      if (expert < -1 || expert >= std::numeric_limits<std::int16_t>::max())
        fail(fmt::format("token {}: expert {}", read_, expert), "-1 to 32766");
    ++read_;
    return row_;
  }
  void require_end() { in_.require_end(); }
  [[noreturn]] void fail(const std::string& what, const std::string& expected) const {
    throw InputError(in_.name(), 0, what, expected);
  }

 private:
  InputStream in_;
  bool wide_ = false;
  std::vector<std::int64_t> shape_;
  std::vector<std::int32_t> row_;
  std::vector<std::int16_t> narrow_;
  std::int64_t read_ = 0;
};

// What the first reading of all files finds out.
struct Survey {
  std::int64_t layers = 0, top_k = 0, tokens = 0;
  std::vector<bool> routed;  // [layer]
  int highest = -1;
};

Survey survey(const TraceImport& import) {
  Survey found;
  for (const auto& input : import.inputs) {
    NpyReader in(input);
    if (found.routed.empty()) {
      found.layers = in.layers();
      found.top_k = in.top_k();
      found.routed.assign(static_cast<std::size_t>(in.layers()), false);
    }
    if (in.layers() != found.layers || in.top_k() != found.top_k)
      in.fail(fmt::format("has {} layers and {} ranks", in.layers(), in.top_k()),
              fmt::format("{} and {} as in {}", found.layers, found.top_k, import.inputs[0].string()));
    for (std::int64_t token = 0; token < in.tokens(); ++token) {
      const auto row = in.next();
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (row[i] < 0) continue;
        found.routed[i / static_cast<std::size_t>(found.top_k)] = true;
        found.highest = std::max(found.highest, row[i]);
      }
    }
    in.require_end();
    found.tokens += in.tokens();
  }
  if (found.highest < 0)
    throw InputError(import.inputs[0].string(), 0, "holds no routed token", "experts from 0 on");
  return found;
}

}  // namespace

void import_npy(const TraceImport& import) {
  const auto& prompts = import.prompt_tokens;
  if (prompts.size() > 1 && prompts.size() != import.inputs.size())
    throw InputError("", 0,
                     fmt::format("{} prompt lengths for {} files", prompts.size(), import.inputs.size()),
                     "one, or one a file");
  const Survey found = survey(import);
  TraceHeader header;
  header.layers = static_cast<int>(std::count(found.routed.begin(), found.routed.end(), true));
  header.top_k = static_cast<int>(found.top_k);
  header.experts = import.experts.value_or(std::max(found.highest + 1, header.top_k));
  header.model = import.model;
  header.source = import.source;
  header.licence = import.licence;
  header.recorder = "routed experts (npy)";
  if (header.layers < found.layers)
    header.recorder += fmt::format(", {} dense layers dropped", found.layers - header.layers);
  if (!import.experts) header.recorder += ", number of experts: highest id seen + 1";
  if (prompts.empty()) header.recorder += ", phases unknown: all rows taken for decode";
  if (found.highest >= header.experts)
    throw InputError(import.inputs[0].string(), 0, fmt::format("expert {} among the inputs", found.highest),
                     fmt::format("0 to {}", header.experts - 1));
  TraceWriter writer(import.out, header);

  const auto k = static_cast<std::size_t>(found.top_k);
  std::int64_t tokens = 0;
  std::vector<std::int16_t> kept;
  for (std::size_t file = 0; file < import.inputs.size(); ++file) {
    NpyReader in(import.inputs[file]);
    const std::int64_t prompt = prompts.empty() ? 0 : prompts[prompts.size() > 1 ? file : 0];
    if (prompt < 0 || prompt > in.tokens())
      in.fail(fmt::format("a prompt of {} tokens in {} rows", prompt, in.tokens()),
              "at most as many as rows");
    writer.begin_request(prompt);
    for (std::int64_t token = 0; token < in.tokens(); ++token) {
      const auto row = in.next();
      kept.clear();
      for (std::size_t i = 0; i < row.size(); ++i)
        if (found.routed[i / k]) kept.push_back(static_cast<std::int16_t>(row[i]));
      if (const auto fault = fault_in_row(kept, header.top_k, header.experts); !fault.empty())
        in.fail(fmt::format("token {}, {} (dense layers not counted)", token, fault), "distinct experts");
      writer.add_row(token < prompt, kept);
      if (++tokens % 4096 == 0) import.progress(tokens);
    }
  }
  writer.finish();
}

}  // namespace specmoe
