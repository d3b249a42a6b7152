#include "sim/study/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "sim/base/file_lock.hpp"
#include "sim/base/fnv.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

struct Head {
  std::uint32_t magic = 0x4a6d5053;  // "SPmJ"
  std::uint32_t size = 0;
  std::uint64_t key = 0, check = 0;
};
static_assert(sizeof(Head) == 24);
constexpr std::uint32_t kMostBytes = 1u << 30;

std::uint64_t check_of(std::uint64_t key, const std::string& result) {
  return fnv1a(std::as_bytes(std::span(result)), fnv1a(std::as_bytes(std::span(&key, 1))));
}

bool read_all(int file, void* into, std::size_t size, std::int64_t offset) {
  auto* to = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t n = ::pread(file, to, size, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    offset += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

Journal::Journal(const std::filesystem::path& folder, const std::string& writer) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(folder, error);
  const fs::path own = folder / (writer + ".journal");
  const int file = ::open(own.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (error || file < 0)
    throw InputError(own.string(), 0, "cannot be written", "a writable place, or another --out");
  files_.push_back(file);
  names_.push_back(own);
  if (!lock_file(file)) {
    ::close(file);
    throw InputError(own.string(), 0, "another study is writing here", "its end, or another --out");
  }
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".journal" && entry.path() != own) others.push_back(entry.path());
  std::sort(others.begin(), others.end());
  for (const fs::path& other : others) {
    const int opened = ::open(other.c_str(), O_RDONLY | O_CLOEXEC);
    if (opened < 0) continue;
    files_.push_back(opened);
    names_.push_back(other);
  }
  end_ = index(0);
  if (::ftruncate(file, end_) != 0) throw InputError(own.string(), 0, "cannot be cut to its whole records");
  for (std::uint32_t i = 1; i < files_.size(); ++i) index(i);
}

Journal::~Journal() {
  for (const int file : files_) ::close(file);
}

std::int64_t Journal::index(std::uint32_t file) {
  std::int64_t at = 0;
  Head head;
  std::string result;
  while (read_all(files_[file], &head, sizeof head, at)) {
    if (head.magic != Head().magic || head.size > kMostBytes) break;
    result.resize(head.size);
    if (!read_all(files_[file], result.data(), result.size(), at + static_cast<std::int64_t>(sizeof head)))
      break;
    at += static_cast<std::int64_t>(sizeof head);
    if (check_of(head.key, result) == head.check)
      places_.insert_or_assign(head.key, Place{file, head.size, at});
    at += head.size;
  }
  return at;
}

void Journal::append(std::uint64_t key, const std::string& result) {
  if (result.size() > kMostBytes) throw std::logic_error("journal: a result of more than 1 GiB");
  Head head;
  head.size = static_cast<std::uint32_t>(result.size());
  head.key = key;
  head.check = check_of(key, result);
  std::string record(reinterpret_cast<const char*>(&head), sizeof head);
  record += result;
  std::size_t done = 0;
  while (done < record.size()) {
    const ssize_t n = ::pwrite(files_[0], record.data() + done, record.size() - done,
                               end_ + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      throw InputError(names_[0].string(), 0, std::string("cannot be written: ") + std::strerror(errno),
                       "room on the disk");
    done += static_cast<std::size_t>(n);
  }
  places_.emplace(key, Place{0, head.size, end_ + static_cast<std::int64_t>(sizeof head)});
  end_ += static_cast<std::int64_t>(record.size());
}

std::string Journal::read(std::uint64_t key) const {
  const Place& place = places_.at(key);
  std::string result(place.size, '\0');
  if (!read_all(files_[place.file], result.data(), result.size(), place.offset))
    throw InputError(names_[place.file].string(), 0, "cannot be read any more",
                     "a journal that nobody changes");
  return result;
}

}  // namespace specmoe
