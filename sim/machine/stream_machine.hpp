// The machine's verbs over stream queues: what the host program calls.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/hardware/kernel_price.hpp"
#include "sim/machine/lanes.hpp"
#include "sim/machine/machine.hpp"
#include "sim/machine/streams.hpp"

namespace specmoe {

/// The verbs append to stream queues and advance the host's own clock, which runs ahead of the kernel's and
/// is never behind it; only a host that must wait gives up control. Each wrong argument is a
/// std::logic_error, but a missing route is Platform::route's InputError.
class StreamMachine final : public Machine {
 public:
  StreamMachine(const Platform& platform, SimulationKernel& kernel, MachineObserver* observer)
      : platform_(platform),
        shop_(kernel, observer, platform.memories.size()),
        ways_(2 * platform.memories.size() * platform.memories.size()) {
    for (int i = 0; i < static_cast<int>(platform.devices.size()); ++i)
      prices_.emplace_back(platform, DeviceId{i});
  }

  const Platform& platform() const override { return platform_; }
  Stream open_stream(DeviceId device, const std::string& name) override;
  void launch(Stream stream, const Kernel& kernel) override;
  void copy(Stream stream, MemoryId from, MemoryId to, Bytes bytes, HostMemory host,
            const CopyLabel& label) override;
  Event record(Stream stream) override;
  void wait(Stream stream, const Event& event) override;
  void synchronize(const Event& event) override;
  void work(Seconds time) override { clock_ += time; }
  bool reached(const Event& event) const override;
  Seconds time_of(const Event& event) const override;
  Seconds now() const override { return clock_; }
  std::vector<Joules> device_energy() const override { return shop_.kernel.device_energy(); }

 private:
  struct OpenStream {
    std::unique_ptr<StreamQueue> queue;
    DeviceId device;
    std::optional<Kernel> launched{};  // last
  };

  OpenStream& opened(Stream stream);
  const HostCalls& calls(const OpenStream& stream) const { return platform_[stream.device].host_calls; }
  std::shared_ptr<StreamEvent> new_event(const OpenStream& stream, Seconds to_host) const;
  template <class T>
  void append(const OpenStream& stream, Seconds call, T op);
  void await(StreamEvent& event);
  const Way& way(MemoryId from, MemoryId to, HostMemory host);
  CopyEngine& engine(MemoryId from, MemoryId to);

  const Platform& platform_;
  Workshop shop_;
  std::vector<KernelPrices> prices_;  // [device]
  Seconds clock_;
  std::vector<OpenStream> streams_;
  std::map<std::pair<int, int>, CopyEngine> engines_;
  std::vector<std::optional<Way>> ways_;  // [from, to, pageable], made when first used
};

}  // namespace specmoe
