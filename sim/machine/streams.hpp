// Streams and copy engines: queues of work, started as it becomes ready.
#pragma once
#include <map>
#include <memory>
#include <variant>
#include <vector>

#include "models/hardware/kernel_price.hpp"
#include "sim/machine/lanes.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

class CopyEngine;
class StreamQueue;

/// First in, first out, in one piece of memory that is used again.
template <class T>
class Fifo {
 public:
  bool empty() const { return begin_ == items_.size(); }
  T& front() { return items_[begin_]; }
  const T& front() const { return items_[begin_]; }
  template <class Item>
  void push_back(Item&& item) {
    if (items_.size() == items_.capacity() && 2 * begin_ >= items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(begin_));
      begin_ = 0;
    }
    items_.push_back(std::forward<Item>(item));
  }
  void pop_front() {
    if (++begin_ < items_.size()) return;
    items_.clear();
    begin_ = 0;
  }

 private:
  std::vector<T> items_;
  std::size_t begin_ = 0;
};

/// An event of a stream: when it was reached, and who hears of it how much later.
struct StreamEvent final : EventState {
  StreamEvent(const StreamQueue* stream, Seconds to_host, Seconds to_streams)
      : recorded_by(stream), host_notice(to_host), stream_notice(to_streams) {}

  const StreamQueue* recorded_by;
  Seconds host_notice;    // from its date to the host that waits for it
  Seconds stream_notice;  // and to other streams
  bool reached = false;
  Seconds date;
  bool host_waits = false;
  /// In the order of the dates on which they began to wait.
  std::multimap<Seconds, StreamQueue*> waiting;
};

/// How copies between two memories go.
struct Way {
  Route route;
  HostMemory host;
  /// Fixed cost of a copy that finds its engine idle: the latencies of the links.
  Seconds latency;
  /// Copies of at most so many bytes do without the latency.
  Bytes inline_size;
  /// Added to the bytes that cross the links: the largest of the links.
  Bytes half_size;
  bool from_disk, to_disk;
  CopyEngine* engine;
  /// Of copies within a memory, which cross no link; else 0.
  BytesPerSecond within{};
};

/// A launch in a stream's queue.
struct KernelOp {
  Kernel kernel;
  KernelPrice price;
  /// Through the memory of a CPU; 0 elsewhere.
  Bytes traffic;
};
/// A copy in a stream's queue.
struct CopyOp {
  const Way* way;
  Bytes bytes;
  CopyLabel label;
};
/// Reaches its event when all before it in the queue has ended.
struct RecordOp {
  std::shared_ptr<StreamEvent> event;
  /// For so long it holds its stream.
  Seconds time;
};
/// Holds the queue until the event is reached.
struct WaitOp {
  std::shared_ptr<StreamEvent> event;
};
/// What a stream's queue holds.
struct Op {
  /// When the host's call returned; nothing starts before.
  Seconds issued;
  std::variant<KernelOp, CopyOp, RecordOp, WaitOp> what;
};

/// What the streams and engines of a machine share.
class Workshop final : public Worker {
 public:
  Workshop(SimulationKernel& simulation, MachineObserver* hearer, std::size_t memories)
      : kernel(simulation), observer(hearer), crossing(memories), lane_(simulation.open_lane(*this, {})) {}

  SimulationKernel& kernel;
  MachineObserver* observer;
  /// Streams that may go on, first come, first served.
  Fifo<StreamQueue*> ready;
  /// Copies that cross links out of and into each memory, [memory].
  std::vector<int> crossing;

  void serve();
  /// The stream is ready at a date to come. Of one date, first come, first served.
  void serve_at(Seconds date, StreamQueue* stream);
  void go_on() override;

 private:
  std::unique_ptr<Lane> lane_;
  std::multimap<Seconds, StreamQueue*> later_;
};

/// One stream. An event lets the stream that reached it go on first, then, after its notice, those that wait, in the
/// order in which they began to wait.
class StreamQueue final : public Worker {
 public:
  StreamQueue(Workshop& shop, Stream id, DeviceId device, const Device& properties);

  /// Called by the host.
  void append(Op&& op);
  void go_on() override;

  /// Starts what is at the front until something takes time.
  void advance();
  Seconds event_time() const { return event_time_; }
  const CopyOp& front_copy() const { return std::get<CopyOp>(ops_.front().what); }
  void copy_ended(Seconds start);

 private:
  void begin(const KernelOp& op);
  void begin(const CopyOp& op);
  void begin(const RecordOp& op);
  void begin(const WaitOp& op);
  void reach(StreamEvent& event, Seconds date);
  void wait_until(Seconds date);
  void kernel_ended();
  void recorded();
  bool passes(const StreamEvent& event, Seconds issued) const;
  void await(StreamEvent& event, Seconds since);

  Workshop& shop_;
  Stream id_;
  DeviceId device_;
  MemoryId memory_;
  Seconds event_time_;
  std::unique_ptr<Lane> lane_;
  Fifo<Op> ops_;            // the first may be under way
  bool busy_ = false;       // someone will call advance()
  bool computing_ = false;  // a kernel is under way
  bool recording_ = false;  // an event is
  Seconds started_;
};

/// Serves copies one at a time, first come, first served. A copy is its fixed cost, unless it begins on the date on
/// which the one before ended, or an event later; then the way over the links and the work of a disk at either end,
/// piece by piece and so together: it ends with the slowest.
class CopyEngine final {
 public:
  explicit CopyEngine(Workshop& shop);

  /// Takes the copy at the stream's front.
  void take(StreamQueue* stream);

 private:
  class Part final : public Worker {
   public:
    explicit Part(CopyEngine& engine);
    void go_on() override;

   private:
    CopyEngine& engine_;

   public:
    std::unique_ptr<Lane> lane;
  };

  void begin();
  void transfer();
  void count_crossing(const Way& way, int change);
  void part_ended();
  void end();

  Workshop& shop_;
  Part links_, reader_, writer_;
  Fifo<StreamQueue*> queue_;  // the first is being served
  bool fixed_cost_ = false;   // under way; then the parts
  int under_way_ = 0;
  Seconds started_, ended_{-1};
};

}  // namespace specmoe
