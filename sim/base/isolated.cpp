#include "sim/base/isolated.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "sim/base/input_error.hpp"

namespace specmoe {
namespace {

struct Child {
  std::size_t index;
  pid_t pid;
  int pipe;
  std::string reply;
};

void write_all(int fd, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = ::write(fd, bytes.data() + sent, bytes.size() - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    sent += static_cast<std::size_t>(n);
  }
}

// The first byte of a reply: R a result, I an InputError's line, E another exception's text.
[[noreturn]] void run_child(const IsolatedWork& work, int fd) {
  std::string reply;
  try {
    reply = "R" + work();
  } catch (const InputError& e) {
    reply = std::string("I") + e.what();
  } catch (const std::exception& e) {
    reply = std::string("E") + e.what();
  } catch (...) {  // nothing may unwind into the parent's code, which the child would run a second time
    reply = "Ean exception that is no std::exception";
  }
  write_all(fd, reply);
  std::fflush(nullptr);
  ::_exit(0);  // SimGrid's destructors at exit are not needed and not safe
}

Child start(const IsolatedWork& work, std::size_t index) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error(std::string("pipe: ") + std::strerror(errno));
  std::fflush(nullptr);  // so that the child does not print the parent's buffer again
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    const int why = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    throw std::runtime_error(std::string("fork: ") + std::strerror(why));
  }
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody would read the result of an orphan
    if (::getppid() != parent) ::_exit(1);
    ::close(ends[0]);
    run_child(work, ends[1]);
  }
  ::close(ends[1]);
  return {index, pid, ends[0], {}};
}

// Waits for a child whose pipe has closed, and gives its result or throws.
std::string finish(const Child& child) {
  ::close(child.pipe);
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status))
    throw std::runtime_error(std::string("the simulation's process ended by signal: ") +
                             ::strsignal(WTERMSIG(status)));
  if (child.reply.empty())
    throw std::runtime_error("the simulation's process ended with status " +
                             std::to_string(WEXITSTATUS(status)) + " and no result");
  const std::string text = child.reply.substr(1);
  if (child.reply[0] == 'I') throw InputError("", 0, text);
  if (child.reply[0] == 'E') throw std::runtime_error(text);
  return text;
}

}  // namespace

std::string run_isolated(const IsolatedWork& work) {
  return run_isolated(std::vector<IsolatedWork>{work}, 1).front();
}

void run_isolated(const IsolatedStream& stream, int jobs) {
  if (jobs < 1) throw std::logic_error("run_isolated: at least one job");
  std::vector<Child> running;
  std::size_t started = 0;
  IsolatedWork next;  // asked for and not started yet
  bool more = true;
  for (;;) {
    while (more && static_cast<int>(running.size()) < jobs) {
      if (!next) next = stream.next();
      more = static_cast<bool>(next);
      if (!more) break;
      try {
        running.push_back(start(next, started));
      } catch (const std::runtime_error&) {
        if (running.empty()) throw;
        jobs = static_cast<int>(
            running.size());  // the system gives no more files or processes: go on with fewer
        break;
      }
      ++started;
      next = nullptr;
    }
    if (running.empty()) return;
    std::vector<pollfd> polled;
    for (const Child& child : running) polled.push_back({child.pipe, POLLIN, 0});
    ::poll(polled.data(), polled.size(), stream.tick ? 500 : -1);
    if (stream.tick) stream.tick();
    for (std::size_t i = running.size(); i-- > 0;) {
      if (!(polled[i].revents & (POLLIN | POLLHUP))) continue;
      char chunk[1 << 16];
      const ssize_t n = ::read(running[i].pipe, chunk, sizeof chunk);
      if (n < 0 && errno == EINTR) continue;
      if (n > 0) {
        running[i].reply.append(chunk, static_cast<std::size_t>(n));
        continue;
      }
      const Child ended = std::move(running[i]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      std::string result;
      try {
        result = finish(ended);
      } catch (...) {
        stream.failed(ended.index, std::current_exception());
        continue;
      }
      stream.ended(ended.index, std::move(result));
    }
  }
}

std::vector<std::string> run_isolated(const std::vector<IsolatedWork>& works, int jobs,
                                      const std::function<void(std::size_t)>& done,
                                      const std::function<void()>& tick) {
  std::vector<std::string> results(works.size());
  std::exception_ptr failure;
  std::size_t first_failed = works.size(), next = 0;
  run_isolated({[&] { return next < works.size() ? works[next++] : IsolatedWork(); },
                [&](std::size_t i, std::string result) {
                  results[i] = std::move(result);
                  if (done) done(i);
                },
                [&](std::size_t i, std::exception_ptr why) {
                  if (i < first_failed) failure = why;
                  first_failed = std::min(first_failed, i);
                },
                tick},
               jobs);
  if (failure) std::rethrow_exception(failure);
  return results;
}

}  // namespace specmoe
