// Experts that wait on a disk, on their way through host memory, which keeps some of them.
#pragma once
#include <array>
#include <vector>

#include "sim/engine/copy_streams.hpp"
#include "sim/engine/engine.hpp"

namespace specmoe {

/// What reads host memory: the copies to the GPU, on demand and ahead, or the CPU's kernels. Each is one stream.
enum class HostReader { copies, ahead, cpu };

/// Decides by the order of calls alone, as the GPU's cache. Inclusive: what the GPU holds stays. One stream reads the
/// disk, or two (CopyStreams); a read into a slot follows the last reader of what was there.
class HostCache {
 public:
  HostCache(Machine& machine, const RoutingSource& source, const EngineSettings& settings,
            const std::vector<Bytes>& expert_bytes, MemoryId host, const std::vector<int>& block_of);

  /// The GPU holds it, or no longer.
  void keep(ExpertId expert);
  void release(ExpertId expert) { cache_.unpin(expert); }
  /// Reads it from the disk unless it is there. @return what the reader's stream must wait for, or nullptr
  Event fetch(ExpertId expert, HostReader reader, Counters& counters);
  /// The reader's stream has been given all that reads it: `done` is the end of that.
  void read(ExpertId expert, HostReader reader, Event done) {
    slot(expert).last_read[index(reader)] = std::move(done);
  }
  /// What is read for copies ahead from now on waits for `answer`.
  void wait_for(const Event& answer) { reads_.wait_for(answer); }
  /// There before the run: kept for the GPU, or while there is room. @return whether there was
  bool start_with(ExpertId expert, bool on_gpu);
  void started() { cache_.started(); }

 private:
  struct Slot {
    std::array<Event, 3> landed, last_read;  // [reader]
  };
  static std::size_t index(HostReader reader) { return static_cast<std::size_t>(reader); }
  Slot& slot(ExpertId expert) {
    return slots_[static_cast<std::size_t>(expert.layer * experts_ + expert.expert)];
  }

  Machine& machine_;
  MemoryId disk_, host_;
  int experts_;
  std::vector<Bytes> expert_bytes_;  // [layer]
  const std::vector<int>& block_of_;
  CopyStreams reads_;
  ExpertCache cache_;
  std::vector<Slot> slots_;
  std::vector<ExpertId> evicted_;
};

}  // namespace specmoe
