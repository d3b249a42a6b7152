#include "sim/base/isolated.hpp"

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <new>

#include "sim/base/input_error.hpp"

using namespace specmoe;

namespace {

// The text of the exception of type E that the work's run throws.
template <class E>
std::string text_of(const IsolatedWork& work) {
  try {
    run_isolated(work);
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

// Returns only once the other end of the pipe has been closed by everyone.
void await_close(int pipe) {
  char byte;
  while (::read(pipe, &byte, 1) > 0) {
  }
}

}  // namespace

TEST_CASE("isolated: the work runs in another process and returns its bytes") {
  int here = 1;
  const std::string reply = run_isolated([&] {
    here = 2;
    return std::to_string(::getpid());
  });
  CHECK(here == 1);
  CHECK(reply != std::to_string(::getpid()));
  CHECK(run_isolated([] { return std::string("a\0b", 3); }) == std::string("a\0b", 3));
  CHECK(run_isolated([] { return std::string(); }).empty());
}

TEST_CASE("isolated: results come in the order of the works, however they end") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  // The first can only end after the last, which holds the pipe open until then.
  std::vector<IsolatedWork> works;
  works.push_back([&] {
    ::close(ends[1]);
    await_close(ends[0]);
    return std::string("first");
  });
  for (int i = 1; i < 3; ++i) works.push_back([i] { return std::to_string(i); });
  std::vector<std::size_t> finished;
  const auto done = [&](std::size_t i) {
    finished.push_back(i);
    if (finished.size() == 2) ::close(ends[1]);
  };
  const auto results = run_isolated(works, 3, done);
  ::close(ends[0]);
  CHECK((results == std::vector<std::string>{"first", "1", "2"}));
  CHECK(finished.back() == 0);
}

TEST_CASE("isolated: any number of works on few jobs, each done once") {
  std::vector<IsolatedWork> works;
  for (int i = 0; i < 50; ++i) works.push_back([i] { return std::to_string(i); });
  for (const int jobs : {1, 4, 100}) {
    std::vector<int> times(works.size());
    const auto results = run_isolated(works, jobs, [&](std::size_t i) { ++times[i]; });
    for (std::size_t i = 0; i < works.size(); ++i) CHECK(results[i] == std::to_string(i));
    CHECK(std::count(times.begin(), times.end(), 1) == 50);
  }
  CHECK(run_isolated(std::vector<IsolatedWork>{}, 2).empty());
  CHECK_THROWS_AS(run_isolated(works, 0), std::logic_error);
}

TEST_CASE("isolated: never more at a time than jobs") {
  using Counters = std::array<std::atomic<int>, 2>;  // running now, most
  void* memory = ::mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& [running, most] = *new (memory) Counters{};
  const std::vector<IsolatedWork> works(20, [&running, &most] {
    const int now = ++running;
    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    for (int i = 0; i < 1000; ++i) ::sched_yield();  // lets the others in
    --running;
    return std::string();
  });
  run_isolated(works, 3);
  CHECK(most >= 1);
  CHECK(most <= 3);
  ::munmap(memory, sizeof(Counters));
}

TEST_CASE("isolated: replies of several megabytes arrive whole, from several at once") {
  const auto reply_of = [](std::size_t i) {
    std::string reply(5'000'000 + i, ' ');
    for (std::size_t j = 0; j < reply.size(); ++j) reply[j] = static_cast<char>(i + j * 31 % 251);
    return reply;
  };
  std::vector<IsolatedWork> works;
  for (std::size_t i = 0; i < 3; ++i) works.push_back([i, &reply_of] { return reply_of(i); });
  const auto results = run_isolated(works, 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK((results[i] == reply_of(i)));
}

TEST_CASE("isolated: an input error comes back as one, with its text") {
  const auto text =
      text_of<InputError>([]() -> std::string { throw InputError("a.yaml", 3, "bad", "good"); });
  CHECK(text == "a.yaml:3: bad; expected good");
}

TEST_CASE("isolated: any other exception, exit or signal is a runtime error that says which") {
  CHECK(text_of<std::runtime_error>([]() -> std::string { throw std::logic_error("law"); }) == "law");
  // What is no std::exception must not unwind into the parent's code inside the child.
  CHECK(text_of<std::runtime_error>([]() -> std::string { throw 5; }).find("exception") != std::string::npos);
  CHECK(text_of<std::runtime_error>([]() -> std::string { ::_exit(3); }).find("status 3") !=
        std::string::npos);
  CHECK(text_of<std::runtime_error>([]() -> std::string { ::_exit(0); }).find("no result") !=
        std::string::npos);
  const auto killed = text_of<std::runtime_error>([]() -> std::string {
    std::raise(SIGKILL);
    return "";
  });
  CHECK(killed.find("signal: Killed") != std::string::npos);
}

TEST_CASE("isolated: the others end before a failure is thrown") {
  const std::vector<IsolatedWork> works{[]() -> std::string { throw InputError("", 0, "one"); },
                                        [] { return std::string(); }, [] { return std::string(); }};
  for (const int jobs : {1, 3}) {
    int finished = 0;
    CHECK_THROWS_WITH_AS(run_isolated(works, jobs, [&](std::size_t) { ++finished; }), "one", InputError);
    CHECK(finished == 2);
  }
}

TEST_CASE("isolated: of several failures the first in order is thrown, not the first in time") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  // The first fails only after the second and the parent have closed the pipe.
  const std::vector<IsolatedWork> works{[&]() -> std::string {
                                          ::close(ends[1]);
                                          await_close(ends[0]);
                                          throw InputError("", 0, "first in order");
                                        },
                                        []() -> std::string { throw InputError("", 0, "first in time"); },
                                        [] { return std::string(); }};
  const auto close_in_parent = [&](std::size_t) { ::close(ends[1]); };
  CHECK_THROWS_WITH_AS(run_isolated(works, 3, close_in_parent), "first in order", InputError);
  ::close(ends[0]);
}

TEST_CASE("isolated: tick is called while the works run") {
  int ticks = 0;
  run_isolated({[] { return std::string("x"); }}, 1, {}, [&] { ++ticks; });
  CHECK(ticks > 0);
}
