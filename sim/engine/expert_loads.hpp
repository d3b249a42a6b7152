// The way of experts into GPU memory: room in the cache, copies, and the events that say when one has landed.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "sim/engine/engine.hpp"
#include "sim/engine/host_cache.hpp"

namespace specmoe {

/// A later copy into a slot that an earlier one was meant for follows it: in its stream, or by an event where copies
/// ahead have a stream of their own.
class ExpertLoads {
 public:
  /// What is known of an expert that the cache holds.
  struct Slot {
    Event landed{};           // set while its copy may be under way
    Event pieces{};           // likewise while some are still to come, where copies have two streams
    Event last_use{};         // of this layer, so that its successor's copy waits
    bool prefetched = false;  // and not yet used
    CopyFor copied_for = CopyFor::demand;
    Bytes copied{};  // of what the cache holds
  };

  ExpertLoads(Machine& machine, const MoeModel& model, RoutingSource& source, const Workload& workload,
              const EngineSettings& settings);

  /// Makes room for `size` bytes of an expert that is not held, or held in fewer. False if there is none.
  bool begin(ExpertId expert, Bytes size, bool ahead, StepRecord& record);
  /// What the next piece of an expert that was begun has; 0 when all have been copied.
  Bytes next_piece(ExpertId expert) const;
  /// Queues the copy of it.
  void copy_piece(ExpertId expert, bool ahead, StepRecord& record);
  /// All of an expert. False if there is no room.
  bool load(ExpertId expert, Bytes size, bool ahead, StepRecord& record);
  bool load(ExpertId expert, bool ahead, StepRecord& record) {
    return load(expert, bytes(expert), ahead, record);
  }
  /// Of all pieces of `size` bytes into GPU memory, on an idle link; from host memory if there is a cache in it.
  Seconds transfer_time(Bytes size) const;
  /// The rest of what was begun ahead.
  void finish(ExpertId expert, StepRecord& record) {
    while (next_piece(expert) > Bytes{0}) copy_piece(expert, true, record);
  }
  /// What was begun and is not wanted leaves; it must not be pinned.
  void drop(ExpertId expert, StepRecord& record);
  /// Begun, and pieces are missing.
  bool is_partial(ExpertId expert) const { return slot(expert).copied < cache_.held_bytes(expert); }
  /// What is copied ahead from now on waits for `answer`.
  void wait_for(const Event& answer) {
    copies_.wait_for(answer);
    if (host_cache_) host_cache_->wait_for(answer);
  }
  /// Hears of every expert that leaves.
  std::function<void(ExpertId)> on_eviction;

  Slot& slot(ExpertId expert) { return slots_[index(expert)]; }
  const Slot& slot(ExpertId expert) const { return slots_[index(expert)]; }
  /// In full.
  Bytes bytes(ExpertId expert) const { return expert_bytes_[static_cast<std::size_t>(expert.layer)]; }
  bool is_low(ExpertId expert) const { return cache_.held_bytes(expert) < bytes(expert); }
  ExpertCache& cache() { return cache_; }
  const ExpertCache& cache() const { return cache_; }
  /// nullptr without one.
  HostCache* host_cache() { return host_cache_ ? &*host_cache_ : nullptr; }
  /// Prefetched experts still unused.
  std::int64_t count_unused() const;

 private:
  std::size_t index(ExpertId expert) const {
    return static_cast<std::size_t>(expert.layer) * static_cast<std::size_t>(experts_) +
           static_cast<std::size_t>(expert.expert);
  }
  HostReader reader(CopyFor what) const {
    return copies_.apart() && what == CopyFor::ahead ? HostReader::ahead : HostReader::copies;
  }
  // `next` takes the room alone; without it any copy may.
  void let_out(ExpertId expert, std::optional<CopyFor> next, StepRecord& record);
  void follow(CopyFor next, const Slot& leaver);
  void start_full(const EngineSettings& settings, const std::vector<ExpertId>& order);

  Machine& machine_;
  const EngineSettings& settings_;
  int experts_;
  std::vector<Bytes> expert_bytes_;  // [layer]
  std::vector<int> block_of_;        // [layer], for the timeline
  MemoryId gpu_memory_, copy_source_;
  CopyStreams copies_;
  bool sizes_differ_;
  FutureUses future_;
  ExpertCache cache_;
  std::optional<HostCache> host_cache_;
  std::vector<Slot> slots_;
  std::vector<ExpertId> scratch_;
};

}  // namespace specmoe
