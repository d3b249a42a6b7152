#include "sim/engine/copy_streams.hpp"

namespace specmoe {

void CopyStreams::wait_for(const Event& answer) {
  if (!apart_) return;
  close();
  answer_ = answer;
  waited_ = false;
}

void CopyStreams::begin_ahead() {
  if (!waited_) {
    const Stream ahead = raw(CopyFor::ahead);
    machine_.wait(ahead, answer_);
    machine_.wait(ahead, machine_.record(raw(CopyFor::demand)));
    waited_ = true;
  }
  open_ = true;
}

void CopyStreams::close() {
  if (open_) batches_.push_back({answer_, machine_.record(raw(CopyFor::ahead))});
  open_ = false;
}

void CopyStreams::follow() {
  close();
  // In order: the last that has its answer stands for those before.
  auto last = batches_.rbegin();
  while (last != batches_.rend() && !machine_.reached(last->answer)) ++last;
  if (last == batches_.rend()) return;
  machine_.wait(raw(CopyFor::demand), last->end);
  batches_.erase(batches_.begin(), last.base());
}

}  // namespace specmoe
