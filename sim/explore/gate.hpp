// How many may do something at a time, and how many more may wait for it.
#pragma once
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

namespace specmoe {

/// Lets so many through at a time, and so many wait.
class Gate {
 public:
  Gate(int running, int waiting) : taken_(static_cast<std::size_t>(running)), most_waiting_(waiting) {}

  /// Waits for a place. @return its number, or nothing if too many wait already, or the gate has closed
  std::optional<int> enter() {
    std::unique_lock lock(mutex_);
    if (free_place() < 0 && waiting_ == most_waiting_) return std::nullopt;
    ++waiting_;
    changed_.wait(lock, [&] { return closed_ || free_place() >= 0; });
    --waiting_;
    if (closed_) return std::nullopt;
    const int place = free_place();
    taken_[static_cast<std::size_t>(place)] = true;
    return place;
  }
  void leave(int place) {
    const std::lock_guard lock(mutex_);
    taken_[static_cast<std::size_t>(place)] = false;
    changed_.notify_one();
  }
  /// Nobody enters any more.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  int free_place() const {
    for (std::size_t i = 0; i < taken_.size(); ++i)
      if (!taken_[i]) return static_cast<int>(i);
    return -1;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> taken_;
  int most_waiting_, waiting_ = 0;
  bool closed_ = false;
};

}  // namespace specmoe
