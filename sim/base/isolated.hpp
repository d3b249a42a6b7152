#pragma once
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace specmoe {

/// Work that runs in a forked child and returns bytes.
using IsolatedWork = std::function<std::string()>;

/// Runs `work` in a child process and returns the bytes it returned. SimGrid allows one Engine a process,
/// and 3.32 neither resets its clock nor its callbacks, so every simulation runs in a child of its own (2 ms
/// each). An InputError thrown in the child is thrown again here; any other exception, signal or exit becomes
/// a std::runtime_error that says which. Call before any thread is started.
std::string run_isolated(const IsolatedWork& work);

/// Runs work after work, at most `jobs` at a time, until `next` has no more; numbered from 0 in the order of `next`.
/// @param ended hears of each that ended well, with what it returned; `failed` of the others.
/// @param tick called about twice a second.
struct IsolatedStream {
  std::function<IsolatedWork()> next;  // an empty function: no more
  std::function<void(std::size_t, std::string)> ended;
  std::function<void(std::size_t, std::exception_ptr)> failed;
  std::function<void()> tick{};
};
void run_isolated(const IsolatedStream& stream, int jobs);

/// The same for several, at most `jobs` at a time; results in order. When all have ended, the failure of
/// the first in order is thrown.
/// @param done called as each ends well; @param tick called about twice a second.
std::vector<std::string> run_isolated(const std::vector<IsolatedWork>& works, int jobs,
                                      const std::function<void(std::size_t)>& done = {},
                                      const std::function<void()>& tick = {});

}  // namespace specmoe
