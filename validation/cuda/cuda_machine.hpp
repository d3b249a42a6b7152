// The machine's surface on a real GPU: the engine that is simulated elsewhere runs here.
#pragma once
#include <chrono>
#include <memory>
#include <vector>

#include "models/moe/model.hpp"
#include "sim/machine/machine.hpp"
#include "validation/cuda/runner.hpp"

namespace specmoe::cuda {

/// Host memory in which experts wait: pageable, until it is pinned. Filled with random values.
class HostPool {
 public:
  explicit HostPool(Bytes size);
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;
  ~HostPool();

  /// Locks all pages (about 0.8 s a GiB).
  void pin();
  bool pinned() const { return pinned_; }
  char* data() const { return data_; }
  Bytes size() const { return size_; }

 private:
  char* data_;
  Bytes size_;
  bool pinned_ = false;
};

/// Where the experts of a run are.
struct ExpertPlaces {
  std::int64_t blocks = 0, experts = 0;
  Bytes expert_bytes;
  /// Room for experts in GPU memory.
  Bytes cache;
};

/// Streams, copies and events are the runtime's; kernels are KernelRunner's. Experts are copied to slots of GPU memory,
/// one after the other and round again, and an expert's kernels read the slot to which it was copied last. Times of the
/// observer's kernels and copies are those of the host's calls. The host spins where it waits.
class CudaMachine final : public Machine {
 public:
  CudaMachine(const Platform& platform, KernelRunner& runner, const HostPool& host,
              const ExpertPlaces& places);
  ~CudaMachine() override;

  const Platform& platform() const override { return platform_; }
  /// @throws std::logic_error for a CPU: it computes nothing here.
  Stream open_stream(DeviceId device, const std::string& name) override;
  void launch(Stream stream, const Kernel& kernel) override;
  /// From the host's memory to the GPU's, or back. @throws std::logic_error for other ways, or for pinned memory that is
  /// not.
  void copy(Stream stream, MemoryId from, MemoryId to, Bytes bytes, HostMemory host,
            const CopyLabel& label) override;
  Event record(Stream stream) override;
  void wait(Stream stream, const Event& event) override;
  void synchronize(const Event& event) override;
  /// Spins.
  void work(Seconds time) override;
  bool reached(const Event& event) const override;
  Seconds time_of(const Event& event) const override;
  Seconds now() const override;

  /// Waits for all streams.
  void drain();
  /// Bytes that were copied into GPU memory.
  Bytes copied() const { return copied_; }
  /// Whether the first slots (up to a GB of them) hold what was copied into them last, byte for byte.
  bool verify() const;

 private:
  class EventPool;
  class CudaEvent;

  std::size_t place(std::int32_t block, std::int32_t expert) const {
    return static_cast<std::size_t>(block * places_.experts + expert);
  }
  const char* home(std::size_t place) const;

  const Platform& platform_;
  KernelRunner& runner_;
  const HostPool& host_;
  ExpertPlaces places_;
  std::vector<OwnedStream> streams_;
  std::shared_ptr<EventPool> events_;
  std::size_t slots_;
  DeviceBuffer cache_, answers_;
  PinnedBuffer answers_home_;
  std::vector<char*> slot_of_;            // [place]
  std::vector<std::int64_t> copied_to_;   // [slot] the place whose copy is there, or -1
  std::vector<std::size_t> copied_size_;  // [slot] bytes of it that were copied; pieces come in order
  std::size_t next_slot_ = 0;
  Bytes copied_;
  std::chrono::steady_clock::time_point start_;
  OwnedEvent base_;
};

}  // namespace specmoe::cuda
