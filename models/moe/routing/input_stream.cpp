#include "models/moe/routing/input_stream.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/base/input_error.hpp"

namespace specmoe {

static constexpr std::size_t kBuffer = 1 << 18;
// A line of a text trace is a few kB; a file without line ends is no text.
static constexpr std::size_t kLongestLine = 1 << 24;

InputStream::InputStream(const std::filesystem::path& file) : name_(file.string()), buffer_(kBuffer) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error))
    throw InputError(name_, 0, "no such file", "a file to import");
  const auto handle = gzopen(name_.c_str(), "rb");
  if (!handle) throw InputError(name_, 0, "cannot be opened", "a readable file");
  file_ = handle;
  if (file.extension() == ".gz" && gzdirect(handle)) {
    gzclose(handle);
    throw InputError(name_, 0, "is no gzip file", "gzip, as its name says");
  }
}

InputStream::InputStream(InputStream&& other) noexcept
    : name_(std::move(other.name_)),
      file_(std::exchange(other.file_, nullptr)),
      buffer_(std::move(other.buffer_)),
      next_(other.next_),
      end_(other.end_),
      line_(other.line_) {}

InputStream::~InputStream() {
  if (file_) gzclose(static_cast<gzFile>(file_));
}

bool InputStream::refill() {
  const auto handle = static_cast<gzFile>(file_);
  const int got = gzread(handle, buffer_.data(), static_cast<unsigned>(buffer_.size()));
  int code = Z_OK;
  gzerror(handle, &code);
  if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
    throw InputError(name_, 0, code == Z_BUF_ERROR ? "gzip data end too early" : "gzip data are corrupt",
                     "a complete gzip file");
  next_ = 0;
  end_ = static_cast<std::size_t>(got);
  return got > 0;
}

bool InputStream::line(std::string& out) {
  out.clear();
  ++line_;
  for (;;) {
    if (next_ == end_ && !refill()) {
      if (out.empty()) --line_;
      return !out.empty();
    }
    const char* const begin = buffer_.data() + next_;
    const char* const stop = buffer_.data() + end_;
    const char* const newline = std::find(begin, stop, '\n');
    out.append(begin, newline);
    next_ += static_cast<std::size_t>(newline - begin);
    if (out.size() > kLongestLine) fail("a line of more than 16 MB", "a text file");
    if (newline == stop) continue;
    ++next_;
    if (out.ends_with('\r')) out.pop_back();
    return true;
  }
}

void InputStream::bytes(std::span<std::byte> out) {
  while (!out.empty()) {
    if (next_ == end_ && !refill())
      throw InputError(name_, 0, "ends " + std::to_string(out.size()) + " bytes too early",
                       "a complete file");
    const std::size_t taken = std::min(out.size(), end_ - next_);
    std::memcpy(out.data(), buffer_.data() + next_, taken);
    next_ += taken;
    out = out.subspan(taken);
  }
}

void InputStream::require_end() {
  if (next_ < end_ || refill())
    throw InputError(name_, 0, "has more data than its shape says", "nothing after them");
}

void InputStream::fail(const std::string& what, const std::string& expected) const {
  throw InputError(name_, line_, what, expected);
}

std::vector<std::string> csv_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      fields.back() += line[++i];
    else if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      fields.emplace_back();
    else
      fields.back() += c;
  }
  return fields;
}

}  // namespace specmoe
