// The order of the copies that are needed and of those that a prediction names.
#pragma once
#include <array>
#include <vector>

#include "sim/machine/machine.hpp"

namespace specmoe {

/// What wants a copy.
enum class CopyFor { demand, ahead };

/// One stream for both, unless predictions take time. Then an engine's second thread waits for the answer and issues
/// what it names: behind the loads that were issued before, before those that come later. So what is copied ahead has a
/// stream of its own that waits for the answer and the loads before it, and a later load follows what is copied ahead
/// if the answer was there when the load was issued, and overtakes it otherwise. Only this order depends on time, never
/// what is copied.
class CopyStreams {
 public:
  CopyStreams(Machine& machine, DeviceId device, const std::string& name, bool apart)
      : machine_(machine), streams_{machine.open_stream(device, name)} {
    streams_[1] = apart ? machine.open_stream(device, name + " ahead") : streams_[0];
    apart_ = apart;
  }

  bool apart() const { return apart_; }
  /// What is copied ahead from now on waits for `answer`.
  void wait_for(const Event& answer);
  /// The stream to append a copy to, after all that it must wait for.
  Stream stream(CopyFor what) {
    if (apart_) what == CopyFor::ahead ? begin_ahead() : follow();
    return raw(what);
  }
  /// The stream to go on with what was begun there.
  Stream more(CopyFor what) {
    if (what == CopyFor::ahead) open_ = apart_;
    return raw(what);
  }
  /// The stream as it is, for waits and records.
  Stream raw(CopyFor what) const { return streams_[static_cast<std::size_t>(what)]; }

 private:
  struct Batch {
    Event answer, end;
  };
  void begin_ahead();
  void follow();
  void close();

  Machine& machine_;
  std::array<Stream, 2> streams_;
  bool apart_ = false;
  Event answer_;
  bool waited_ = true, open_ = false;  // for the answer; what is ahead of it has copies
  std::vector<Batch> batches_;         // that no load has followed yet
};

}  // namespace specmoe
