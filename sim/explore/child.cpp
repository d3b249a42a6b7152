#include "sim/explore/child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace specmoe {

namespace {

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::string("pipe: ") + std::strerror(errno));
    read = ends[0];
    write = ends[1];
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    ::close(read);
    close_write();
  }
  void close_write() {
    if (write >= 0) ::close(write);
    write = -1;
  }
};

pid_t spawn(const std::vector<std::string>& command, const Pipe& out, const Pipe& err) {
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, out.write, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, err.write, STDERR_FILENO);
  // A socket that it kept would hold a connection, and the port, open.
  ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);

  // A group of its own, to be killed as one; signals as a program expects them, whatever a server does with its own.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none, usual;
  ::sigemptyset(&none);
  ::sigemptyset(&usual);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) ::sigaddset(&usual, signal);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &usual);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, command.front().c_str(), &files, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::runtime_error(command.front() + ": " + std::strerror(error));
  return pid;
}

}  // namespace

ChildResult run_limited(const std::vector<std::string>& command, std::chrono::milliseconds limit,
                        const std::atomic<bool>& stop) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + limit;
  Pipe out, err;
  const pid_t pid = spawn(command, out, err);
  out.close_write();
  err.close_write();
  ChildResult result;
  std::array<std::pair<pollfd, std::string*>, 2> ends{
      {{{out.read, POLLIN, 0}, &result.out}, {{err.read, POLLIN, 0}, &result.err}}};
  while (ends[0].first.fd >= 0 || ends[1].first.fd >= 0) {
    if (result.end == ChildResult::End::exited && (stop || Clock::now() >= until)) {
      result.end = stop ? ChildResult::End::stopped : ChildResult::End::timed_out;
      ::kill(-pid, SIGKILL);  // and on until the last of them has let go of the pipes
    }
    pollfd polled[2] = {ends[0].first, ends[1].first};
    ::poll(polled, 2, 50);  // `stop` is seen within so many ms
    for (std::size_t i = 0; i < 2; ++i) {
      if (!(polled[i].revents & (POLLIN | POLLHUP | POLLERR))) continue;
      char chunk[1 << 14];
      const ssize_t n = ::read(polled[i].fd, chunk, sizeof chunk);
      if (n > 0)
        ends[i].second->append(chunk, static_cast<std::size_t>(n));
      else if (n == 0 || errno != EINTR)
        ends[i].first.fd = -1;  // poll passes over it
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace specmoe
