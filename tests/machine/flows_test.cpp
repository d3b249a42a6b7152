#include "sim/machine/flows.hpp"

#include <doctest/doctest.h>

namespace specmoe::testing {
namespace {

// Notes its name when it goes on.
struct Noter final : Worker {
  Noter(std::vector<int>& all, int own) : notes(all), name(own) {}
  void go_on() override { notes.push_back(name); }
  std::vector<int>& notes;
  int name;
};

// A flow whose simulator is the test: `rest` is what it was asked to share.
struct AskedFlow final : Flow {
  AskedFlow(Dates& d, Worker& worker) : Flow(d, worker), dates(d) {}
  void end_at(Seconds date) override { dates.add(date, *this); }
  void be_shared(double left) override { rest = left; }
  Dates& dates;
  double rest = -1;
};

struct Desk {
  Dates dates;
  std::vector<int> notes;
  Noter first{notes, 1}, second{notes, 2}, third{notes, 3};
};

TEST_CASE("dates: the earliest first, of one date first come, first served") {
  Desk desk;
  desk.dates.add({2}, desk.first);
  desk.dates.add({1}, desk.second);
  desk.dates.add({1}, desk.third);
  while (!desk.dates.empty()) desk.dates.serve_next();
  CHECK(desk.notes == std::vector{2, 3, 1});
  CHECK(desk.dates.now() == Seconds{2});
}

TEST_CASE("dates: a worker that was removed does not go on") {
  Desk desk;
  desk.dates.add({1}, desk.first);
  desk.dates.add({2}, desk.second);
  desk.dates.remove(desk.first);
  desk.dates.serve_next();
  CHECK(desk.notes == std::vector{2});
  CHECK(desk.dates.empty());
}

TEST_CASE("flow: alone it takes its amount at the rate of the slowest share, and nobody is asked") {
  Desk desk;
  Share wide{20}, narrow{10};
  const std::vector<Share*> path{&wide, &narrow};
  AskedFlow flow(desk.dates, desk.first);
  flow.start(path, 50);
  desk.dates.serve_next();
  CHECK(desk.dates.now() == Seconds{5});  // 50 / 10
  CHECK(desk.notes == std::vector{1});
  CHECK(flow.rest == -1);
}

TEST_CASE("flow: when another joins it on one of its shares, what is left of both is shared") {
  Desk desk;
  Share mine{20}, both{10}, other{30};
  const std::vector<Share*> path{&mine, &both}, crossing{&both, &other};
  AskedFlow flow(desk.dates, desk.first), joining(desk.dates, desk.second);
  flow.start(path, 50);
  desk.dates.go_to({2});
  joining.start(crossing, 7);
  CHECK(flow.rest == 30);  // 50 - 2 x 10
  CHECK(joining.rest == 7);
  CHECK(desk.dates.empty());  // both end when the simulator says so
}

TEST_CASE("flow: what has no share in common stays alone") {
  Desk desk;
  Share one{10}, other{10};
  const std::vector<Share*> path{&one}, elsewhere{&other};
  AskedFlow flow(desk.dates, desk.first), beside(desk.dates, desk.second);
  flow.start(path, 50);
  beside.start(elsewhere, 20);
  desk.dates.serve_next();
  CHECK(desk.dates.now() == Seconds{2});  // 20 / 10
  CHECK(desk.notes == std::vector{2});
  CHECK(flow.rest == -1);
}

TEST_CASE("flow: one that comes after all others have ended is alone again") {
  Desk desk;
  Share link{10};
  const std::vector<Share*> path{&link};
  AskedFlow flow(desk.dates, desk.first), joining(desk.dates, desk.second);
  flow.start(path, 50);
  joining.start(path, 10);
  joining.go_on();
  AskedFlow late(desk.dates, desk.third);
  late.start(path, 10);
  CHECK(late.rest == 10);  // the first is still there
  late.go_on();
  flow.go_on();
  joining.start(path, 20);
  desk.dates.serve_next();
  CHECK(desk.dates.now() == Seconds{2});  // 20 / 10
  CHECK(desk.notes == std::vector{2, 3, 1, 2});
}

TEST_CASE("flow: one that ends on the date on which another comes is not shared") {
  Desk desk;
  Share link{10};
  const std::vector<Share*> path{&link};
  AskedFlow flow(desk.dates, desk.first), next(desk.dates, desk.second);
  flow.start(path, 50);
  desk.dates.go_to({5});  // 50 / 10
  next.start(path, 10);
  CHECK(flow.rest == -1);
  desk.dates.serve_next();
  CHECK(desk.notes == std::vector{1});
  CHECK(next.rest == 10);
}

}  // namespace
}  // namespace specmoe::testing
