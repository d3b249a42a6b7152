// Streams and copy engines: queues of work, started as it becomes ready.
#pragma once
#include <deque>
#include <memory>
#include <variant>
#include <vector>

#include "sim/machine/lanes.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

class CopyEngine;
class StreamQueue;

struct StreamEvent final : EventState {
  explicit StreamEvent(Seconds call) : synchronize_call(call) {}

  Seconds synchronize_call;  // what it costs the host to wait for it
  bool reached = false;
  Seconds date;
  bool host_waits = false;
  std::vector<StreamQueue*> waiting;
};

/// How copies between two memories go.
struct Way {
  Route route;
  HostMemory host;
  /// Fixed cost of a copy: the latencies of the links.
  Seconds latency;
  /// Added to the bytes that cross the links: the largest of the links.
  Bytes half_size;
  bool from_disk, to_disk;
  CopyEngine* engine;
};

struct KernelOp {
  Kernel kernel;
  Seconds duration;
};
struct CopyOp {
  const Way* way;
  Bytes bytes;
  CopyLabel label;
};
struct RecordOp {
  std::shared_ptr<StreamEvent> event;
};
struct WaitOp {
  std::shared_ptr<StreamEvent> event;
};
struct Op {
  /// When the host's call returned; nothing starts before.
  Seconds issued;
  std::variant<KernelOp, CopyOp, RecordOp, WaitOp> what;
};

/// What the streams and engines of a machine share.
struct Workshop {
  SimulationKernel& kernel;
  MachineObserver* observer;
  /// Streams that may go on, first come, first served.
  std::deque<StreamQueue*> ready;

  void serve();
};

/// One stream. An event lets the stream that reached it go on first, then those that wait, in the order in
/// which they began to wait.
class StreamQueue final : public Worker {
 public:
  StreamQueue(Workshop& shop, Stream id, DeviceId device);

  /// Called by the host.
  void append(Op op);
  void go_on() override;

  /// Starts what is at the front until something takes time.
  void advance();
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

  Workshop& shop_;
  Stream id_;
  DeviceId device_;
  std::unique_ptr<Lane> lane_;
  std::deque<Op> ops_;      // the first may be under way
  bool busy_ = false;       // someone will call advance()
  bool computing_ = false;  // a kernel is under way
  Seconds started_;
};

/// Serves copies one at a time, first come, first served. A copy is its fixed cost, then the way over the links and
/// the work of a disk at either end, piece by piece and so together: it ends with the slowest.
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
  void part_ended();
  void end();

  Workshop& shop_;
  Part links_, reader_, writer_;
  std::deque<StreamQueue*> queue_;  // the first is being served
  bool fixed_cost_ = false;         // under way; then the parts
  int under_way_ = 0;
  Seconds started_;
};

}  // namespace specmoe
