// A machine on a hand-written event queue, without SimGrid: the oracle of the simulated machine where nothing
// shares bandwidth. It knows exclusive resources only: at most one copy on a link direction or disk at a
// time, duplex without loss, the kernels of a device on one stream.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "sim/machine/machine.hpp"

namespace specmoe::testing {

class QueueMachine final : public Machine {
 public:
  explicit QueueMachine(const Platform& platform, MachineObserver* observer = nullptr);
  ~QueueMachine() override;

  const Platform& platform() const override { return platform_; }
  Stream open_stream(DeviceId device, const std::string& name) override;
  void launch(Stream stream, const Kernel& kernel) override;
  void copy(Stream stream, MemoryId from, MemoryId to, Bytes bytes, HostMemory host,
            const CopyLabel& label) override;
  Event record(Stream stream) override;
  void wait(Stream stream, const Event& event) override;
  void synchronize(const Event& event) override;
  void work(Seconds time) override { host_ += time.value; }
  bool reached(const Event& event) const override;
  Seconds time_of(const Event& event) const override;
  Seconds now() const override { return {host_}; }

  /// Runs until nothing is left. @return the date at which everything had ended.
  Seconds drain();

 private:
  struct Moment;
  struct Queue;
  struct Engine;
  /// Work of a stream: starts it, and says whether the stream may go on at once.
  using Work = std::function<bool()>;
  struct Due {
    double date;
    std::int64_t sequence;
    std::function<void()> action;
    bool operator<(const Due& other) const {  // the heap's top is the earliest, the first made
      return std::pair(date, sequence) > std::pair(other.date, other.sequence);
    }
  };

  Queue& queue(Stream stream) { return *queues_[static_cast<std::size_t>(stream.index)]; }
  const HostCalls& calls(Stream stream);
  void at(double date, std::function<void()> action);
  void append(Stream stream, Seconds call, Work work);
  void pump(Queue& queue);
  void next_copy(Engine& engine);
  void cross(Engine& engine, double start);
  void run_next();
  void await(const std::shared_ptr<Moment>& moment);

  Platform platform_;
  MachineObserver* observer_;
  double host_ = 0, clock_ = 0;
  std::int64_t sequence_ = 0;
  std::priority_queue<Due> due_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::map<std::pair<int, int>, Engine> engines_;
  std::map<int, int> crossing_;  // copies that cross links out of or into a memory, by its index
};

}  // namespace specmoe::testing
