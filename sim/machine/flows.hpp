// What ends on a date that is known, and what shares. A flow that is alone on its path ends after amount / rate: no
// simulator need be asked. When another one joins it, both are shared from then on.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/machine/lanes.hpp"

namespace specmoe {

/// Workers that go on at dates that are known; of one date, first come, first served.
class Dates {
 public:
  Seconds now() const { return now_; }
  /// The clock stands still or goes forwards.
  void go_to(Seconds date) {
    if (now_ < date) now_ = date;
  }
  bool empty() const { return heap_.empty(); }
  /// The earliest; there must be one.
  Seconds next() const { return heap_.front().date; }

  void add(Seconds date, Worker& worker);
  /// A worker with one date no longer goes on there.
  void remove(const Worker& worker);
  /// Goes to the earliest date; the first of its workers goes on.
  void serve_next();

 private:
  struct Entry {
    Seconds date;
    std::int64_t number;
    Worker* worker;
  };
  static bool is_later(const Entry& a, const Entry& b) {
    return a.date == b.date ? a.number > b.number : a.date > b.date;
  }

  Seconds now_;
  std::int64_t added_ = 0;
  std::vector<Entry> heap_;  // the earliest first
};

class Flow;

/// What flows share: a device, whose rate is 1 s/s, or a link, in B/s.
struct Share {
  double rate;
  int flows = 0;
  /// The only flow, unless it is shared.
  Flow* alone = nullptr;
};

/// One amount after another along a path of shares, for a worker that goes on when it has ended.
class Flow : public Worker {
 public:
  Flow(Dates& dates, Worker& worker) : dates_(dates), worker_(worker) {}

  /// @param amount of seconds or bytes, positive. @param path until it has ended
  void start(const std::vector<Share*>& path, double amount);
  /// When what is alone began.
  Seconds begun() const { return begun_; }
  /// The amount has ended.
  void go_on() final;

 protected:
  ~Flow() = default;
  /// It is alone: it goes on at a date.
  virtual void end_at(Seconds date) = 0;
  /// Others are on the path: what is left ends when the simulator says so.
  virtual void be_shared(double rest) = 0;
  /// For so long it was alone until now.
  virtual void was_alone(Seconds) {}

 private:
  void join();

  Dates& dates_;
  Worker& worker_;
  const std::vector<Share*>* path_ = nullptr;
  double rate_ = 0;
  Seconds begun_, end_;  // while it is alone
};

}  // namespace specmoe
