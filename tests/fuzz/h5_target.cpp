#include <hdf5.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "tests/fuzz/h5_edits.hpp"
#include "tests/temporary_folder.hpp"

namespace specmoe::fuzz {

std::string written(const std::function<void(const std::filesystem::path&)>& write) {
  const TemporaryFolder folder;
  write(folder / "file.h5");
  return read_text(folder / "file.h5");
}

namespace {

// The place, which bit or what byte, and how many.
std::string damaged(std::string image, Choices& choices) {
  while (!choices.empty()) {
    const std::size_t at = choices.number() % image.size();
    const std::uint8_t value = choices.byte();
    const std::size_t length = choices.below(9);
    if (length == 0) image[at] = static_cast<char>(image[at] ^ 1 << value % 8);
    for (std::size_t i = at; i < std::min(at + length, image.size()); ++i)
      image[i] = static_cast<char>(value);
  }
  return image;
}

bool are_open() { return H5Fget_obj_count(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_ALL) != 0; }

void read_in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM}) ::signal(signal, SIG_DFL);
    ::close(2);                                      // HDF5's dying words, and those of the C library
    const itimerval patience{{0, 0}, {0, 300'000}};  // HDF5 may spin, too
    ::setitimer(ITIMER_REAL, &patience, nullptr);
    int status = 1;
    try {
      read(work);
      status = 0;
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {  // libFuzzer's clock
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 1) std::abort();  // an exception that is no InputError
}

}  // namespace

int change_and_read(std::vector<std::string> (*sound)(), void (*read_file)(const std::filesystem::path&),
                    const std::uint8_t* data, std::size_t size) {
  static const std::vector<H5Subject> subjects = [&] {
    std::vector<H5Subject> all;
    for (std::string& image : sound()) all.emplace_back(std::move(image));
    return all;
  }();
  static std::optional<MemoryFile> file;
  if (!file) {
    // Under this path a sound file has been read: see try_reading(), whose children are not to be had for each input.
    file.emplace();
    file->write(subjects.front().image());
    read_file(file->path());
  }
  Choices choices(data, size);
  const std::uint8_t first = choices.byte();
  const H5Subject& subject = subjects[first % subjects.size()];
  if (first >= 0xF0) {
    file->write(damaged(subject.image(), choices));
    read_in_child([&] { read_file(file->path()); });
    return 0;
  }
  file->write(subject.image());
  if (choices.empty()) {
    read_file(file->path());
  } else {
    subject.write_changed(choices, file->path());
    if (are_open()) {  // HDF5 cannot finish what it began to write, and would take the next file for this one
      file.reset();
      return 0;
    }
    read([&] { read_file(file->path()); });
    if (are_open()) std::abort();  // a reader that leaves something open
  }
  return 0;
}

}  // namespace specmoe::fuzz
