#include "sim/machine/stream_machine.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <typeinfo>

namespace specmoe {
namespace {

StreamEvent& own(const Event& event) {
  EventState* state = event.get();
  if (!state || typeid(*state) != typeid(StreamEvent))
    throw std::logic_error("deadlock: no stream of this machine recorded the event");
  return static_cast<StreamEvent&>(*state);
}

}  // namespace

Stream StreamMachine::open_stream(DeviceId device, const std::string& name) {
  if (device.index < 0 || device.index >= static_cast<int>(platform_.devices.size()))
    throw std::logic_error("open_stream: the platform has no such device");
  const Stream id{static_cast<int>(streams_.size())};
  streams_.push_back({std::make_unique<StreamQueue>(shop_, id, device, platform_[device]), device});
  if (shop_.observer) shop_.observer->stream_opened(id, device, name);
  return id;
}

void StreamMachine::launch(Stream stream, const Kernel& kernel) {
  OpenStream& on = opened(stream);
  KernelPrice price = prices_[static_cast<std::size_t>(on.device.index)].price(kernel);
  if (!(price.alone >= Seconds{0}) || !std::isfinite(price.beside_copies.value))
    throw std::logic_error(std::string("launch: no duration for kernel ") + kernel.name);
  if (on.launched && on.launched->work != kernel.work) {
    price.alone += platform_[on.device].kernel_change;
    price.beside_copies += platform_[on.device].kernel_change;
  }
  on.launched = kernel;
  const bool on_cpu = platform_[on.device].kind == Device::Kind::cpu;
  append(on, price.launch, KernelOp{kernel, price, on_cpu ? memory_traffic(kernel) : Bytes{0}});
}

void StreamMachine::copy(Stream stream, MemoryId from, MemoryId to, Bytes bytes, HostMemory host,
                         const CopyLabel& label) {
  const OpenStream& on = opened(stream);
  if (bytes < Bytes{0}) throw std::logic_error("copy: a negative number of bytes");
  append(on, calls(on).work + calls(on).copy, CopyOp{&way(from, to, host), bytes, label});
  if (host == HostMemory::pageable) {
    const auto ended = new_event(on, {});
    append(on, Seconds{0}, RecordOp{ended, {}});
    await(*ended);
  }
}

Event StreamMachine::record(Stream stream) {
  const OpenStream& on = opened(stream);
  const auto event = new_event(on, calls(on).synchronize);
  append(on, calls(on).work + calls(on).record, RecordOp{event, platform_[on.device].event_time});
  return event;
}

void StreamMachine::wait(Stream stream, const Event& event) {
  const OpenStream& on = opened(stream);
  own(event);
  append(on, calls(on).work + calls(on).wait, WaitOp{std::static_pointer_cast<StreamEvent>(event)});
}

void StreamMachine::synchronize(const Event& event) { await(own(event)); }

bool StreamMachine::reached(const Event& event) const {
  const StreamEvent& mine = own(event);
  return mine.reached && mine.date <= clock_;
}

// An event that the simulation has reached lies in the host's past, since the host's clock is never behind.
Seconds StreamMachine::time_of(const Event& event) const {
  const StreamEvent& mine = own(event);
  if (!mine.reached) throw std::logic_error("time_of: the host does not know yet that the event was reached");
  return mine.date;
}

StreamMachine::OpenStream& StreamMachine::opened(Stream stream) {
  if (stream.index < 0 || stream.index >= static_cast<int>(streams_.size()))
    throw std::logic_error("no such stream was opened");
  return streams_[static_cast<std::size_t>(stream.index)];
}

std::shared_ptr<StreamEvent> StreamMachine::new_event(const OpenStream& stream, Seconds to_host) const {
  return std::make_shared<StreamEvent>(stream.queue.get(), to_host, platform_[stream.device].event_latency);
}

template <class T>
void StreamMachine::append(const OpenStream& stream, Seconds call, T op) {
  clock_ += call;
  stream.queue->append({clock_, std::move(op)});
}

void StreamMachine::await(StreamEvent& event) {
  if (!event.reached) {
    event.host_waits = true;
    shop_.kernel.suspend_host();
  }
  clock_ = std::max(clock_, event.date) + event.host_notice;
}

const Way& StreamMachine::way(MemoryId from, MemoryId to, HostMemory host) {
  const auto memories = static_cast<int>(platform_.memories.size());
  if (std::min(from.index, to.index) < 0 || std::max(from.index, to.index) >= memories)
    throw std::logic_error("copy: the platform has no such memory");
  if (from == to && !platform_[from].copies)
    throw std::logic_error("copy: from a memory to itself, of which the platform says nothing");
  auto& way = ways_[static_cast<std::size_t>((from.index * memories + to.index) * 2 +
                                             (host == HostMemory::pageable))];
  if (!way) {
    const auto is_disk = [&](MemoryId id) { return platform_[id].kind == Memory::Kind::disk; };
    way = {platform_.route(from, to), host, {}, {}, {}, is_disk(from), is_disk(to), &engine(from, to)};
    const Direction whole = platform_.direction(way->route, host);
    way->latency = whole.latency;
    way->inline_size = whole.inline_size;
    way->half_size = whole.half_size;
    if (from == to) way->within = whole.bandwidth;
  }
  return *way;
}

// One engine for all copies out of a GPU's memory, one for all others into it, one for those within it, and one for
// each pair of memories of which neither is a GPU's.
CopyEngine& StreamMachine::engine(MemoryId from, MemoryId to) {
  constexpr int kAny = -1;
  const auto is_gpu_memory = [&](MemoryId id) {
    return std::any_of(platform_.devices.begin(), platform_.devices.end(), [&](const Device& device) {
      return device.kind == Device::Kind::gpu && device.memory == id;
    });
  };
  const auto key = from == to            ? std::pair(from.index, to.index)
                   : is_gpu_memory(from) ? std::pair(from.index, kAny)
                   : is_gpu_memory(to)   ? std::pair(kAny, to.index)
                                         : std::pair(from.index, to.index);
  return engines_.try_emplace(key, shop_).first->second;
}

}  // namespace specmoe
