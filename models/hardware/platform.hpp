// A machine as a graph: memories and switches joined by links, devices beside their memory. Read from
// platforms/*.yaml.
#pragma once
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/kernel.hpp"
#include "sim/base/units.hpp"
#include "sim/base/yaml.hpp"

namespace specmoe {

/// Index of a memory in Platform::memories.
struct MemoryId {
  int index = -1;
  friend bool operator==(MemoryId, MemoryId) = default;
};
/// Index of a device in Platform::devices.
struct DeviceId {
  int index = -1;
  friend bool operator==(DeviceId, DeviceId) = default;
};

/// How the host side of a copy is allocated.
enum class HostMemory { pinned, pageable };

/// One way across a link, for one kind of host memory. A copy of s bytes that finds its copy engine idle takes
/// latency + (s + half_size) / bandwidth; one that begins on the date on which the engine's copy before ended
/// takes no latency: the hardware has prepared it meanwhile.
struct Direction {
  BytesPerSecond bandwidth;  // this direction busy alone, large copies
  Seconds latency;
  /// A copy of s bytes reaches s / (s + half_size) of the bandwidth.
  Bytes half_size;
  /// Copies of at most so many bytes travel with their command and take no latency.
  Bytes inline_size{};
  /// What a byte adds to what the devices draw. Of a pageable copy, that of the pinned direction.
  std::optional<JoulesPerByte> energy{};
};

/// Where bytes are.
struct Memory {
  enum class Kind { host, device, unified, disk };
  std::string name;
  Kind kind;
  Bytes capacity;
  /// Held by the driver and its context, not available to a program.
  Bytes reserved;
  /// Sustained; of a disk its sequential read and write.
  BytesPerSecond read, write;
  /// Of copies from this memory to itself, which cross no link; none where nothing is known of them.
  std::optional<Direction> copies{};
  /// What a byte read or written adds to what the devices and the links draw. None of a GPU's memory whose power is part
  /// of its board's.
  std::optional<JoulesPerByte> energy{};
};

/// A full-duplex connection between two nodes (memories or switches).
struct Link {
  std::string name;
  std::string a, b;
  /// Of pinned host memory: a to b, b to a.
  Direction forward, backward;
  /// Of pageable host memory, the driver's staging copy included. A pageable copy shares the bandwidth of its
  /// direction with pinned ones, so that is the most it can have.
  Direction pageable_forward, pageable_backward;
  /// Sum over both directions while both are busy; forward + backward when there is no loss.
  BytesPerSecond duplex;

  /// The way from a to b or back. @return as it stands above
  const Direction& direction(bool a_to_b, HostMemory host) const {
    if (host == HostMemory::pageable) return a_to_b ? pageable_forward : pageable_backward;
    return a_to_b ? forward : backward;
  }
};

/// How kernels of one class saturate the device:
/// time = start + max(floor, traffic time, arithmetic time), where
/// traffic time = (traffic + half_bytes) / (memory bandwidth * memory_efficiency), and
/// of an elementwise kernel with memory_efficiency above 1 only what fits in the L2 cache is that fast, the rest
/// has the memory's bandwidth;
/// arithmetic time = flops with rows padded to tile_rows / (peak * compute_efficiency).
///
/// Attention has blocks (see AttentionBlocks), which cost something each:
/// more than one query a sequence: a block walks over the positions in steps of tile_rows, `serial` a position, and
/// takes `block` beside. Arithmetic is that of whole tiles, with block / serial positions more a block, on the
/// multiprocessor with the most blocks; the floor is at least that of one block by itself, block + serial * positions;
/// one query: a multiprocessor holds resident * 128 / head_dim blocks at a time, and the floor is at least `block` for
/// each round of them.
/// TopK walks over a row once for each of the k: the floor is at least k * (block + serial * width).
struct Saturation {
  Seconds floor;
  double memory_efficiency;
  Bytes half_bytes;
  double compute_efficiency;
  std::int64_t tile_rows;
  /// What a launch costs the host beyond HostCalls::launch: a library chooses its kernel, or launches a second.
  Seconds dispatch{};
  /// From the end of the kernel before to the first work, and from the last work to the end.
  Seconds start{};
  /// Of attention and TopK alone; see above.
  Seconds block{}, serial{};
  /// Of attention alone.
  std::int64_t resident = 1;
};

/// Measured kernels of one shape beside the roofline's price; see kernel_time.
struct Curve {
  /// As ShapePoint::shape of the class.
  std::array<double, 5> shape;
  /// Of the weights; bf16 for classes without.
  WeightFormat format;
  /// ShapePoint::along of the points, ascending, and measured time / roofline_time at each.
  std::vector<double> along, ratio;
  /// What a launch costs the host beyond HostCalls::launch, at each of `along`: a library launches one kernel for some
  /// shapes and three for others. Empty where the class's Saturation::dispatch holds.
  std::vector<Seconds> dispatch{};
};

/// What one call costs the host thread that makes it.
struct HostCalls {
  Seconds launch, copy, record, wait;
  /// From an event to the host that synchronizes with it: its notice, with the way of the host's next launch to
  /// the device in it.
  Seconds synchronize;
  /// The engine's own time before each of these calls but synchronize.
  Seconds work{};
};

/// What a device draws, its own memory included where it is part of the board.
struct PowerDraw {
  /// Ready to compute: a context is open and the clocks are up, but no kernel runs.
  Watts idle;
  /// While kernels run that memory or their floor bounds, and that arithmetic bounds (Roofline::memory_bound).
  Watts memory_bound, compute_bound;
};

/// What computes, and what its calls and kernels take.
struct Device {
  enum class Kind { gpu, cpu };
  std::string name;
  Kind kind;
  MemoryId memory;
  /// Dense peak rate by format. Weights in fp8 are multiplied in fp8 where there is a rate for it; the other small
  /// formats store weights only: unpacked, they are multiplied in bf16.
  std::map<WeightFormat, FlopsPerSecond> peak;
  HostCalls host_calls;
  /// By kernel class, in the order of Kernel::work's alternatives.
  std::array<Saturation, 5> saturation{};
  /// Size of the last cache; elementwise kernels find what fits there (see Saturation). 0 where it is not known.
  Bytes l2{};
  /// A recorded event holds its stream for so long before it is reached; a copy that comes so much after the one before
  /// has still followed it without a pause.
  Seconds event_time{};
  /// What follows a wait for an event of one of this device's streams starts no sooner than so long after the event,
  /// if the stream that waits is another.
  Seconds event_latency{};
  /// A kernel takes so much longer than its price if the one before on its stream was not of the same class and shape:
  /// prices are of trains of one kernel.
  Seconds kernel_change{};
  /// A kernel that starts while a copy crosses links into or out of the device's memory takes 1 + so much of its
  /// time: one bound by memory, one bound by arithmetic.
  double copy_slowdown_memory = 0, copy_slowdown_compute = 0;
  /// Measured corrections of the roofline, by kernel class as saturation.
  std::array<std::vector<Curve>, 5> curves{};
  /// Over which attention spreads its blocks. 0 where it is not known: then as evenly as one likes.
  std::int64_t multiprocessors = 0;
  /// Of all devices of a platform, or of none.
  std::optional<PowerDraw> power{};

  /// Whether the platform says what kernels take; a CPU may have none.
  bool computes() const { return saturation[0].memory_efficiency > 0 && saturation[3].memory_efficiency > 0; }
};

/// Where a number of the platform file came from.
struct Provenance {
  std::string path;  // "devices.gpu.floor"
  std::string value;
  std::string source;
  bool unverified;
};

/// One hop of a route: a link in one direction.
struct Hop {
  int link;
  bool forward;
};
/// The way of a copy: all hops, and a disk at either end, are crossed together.
struct Route {
  MemoryId from, to;
  std::vector<Hop> hops;
};

/// A machine: memories and devices, joined by links.
class Platform {
 public:
  /// @param name_or_file "rtx4090" for platforms/rtx4090.yaml, or a path.
  /// @throws InputError for anything that is not a sound platform: unknown, missing or duplicate keys, names
  /// that no node has, numbers without unit or source, zero or absurd numbers.
  static Platform load(const std::string& name_or_file) { return read(open(name_or_file)); }
  /// The file, made whole where it is `like` another. @param files gets its path and those of the files it is like.
  static Yaml open(const std::string& name_or_file, std::vector<std::filesystem::path>* files = nullptr);
  /// A document made whole, likewise.
  static Yaml complete(const Yaml& document, std::vector<std::filesystem::path>* files = nullptr);
  static Platform read(const Yaml& document);

  std::string name;
  std::string description;
  /// USD for what makes the difference between platforms: the card, or the module; not its host. NaN where not given.
  double price = std::numeric_limits<double>::quiet_NaN();
  std::vector<Memory> memories;
  std::vector<std::string> switches;
  std::vector<Link> links;
  std::vector<Device> devices;
  std::vector<Provenance> provenance;

  const Memory& operator[](MemoryId id) const { return memories[static_cast<std::size_t>(id.index)]; }
  const Device& operator[](DeviceId id) const { return devices[static_cast<std::size_t>(id.index)]; }
  /// @throws InputError listing the names there are.
  MemoryId memory(std::string_view name) const;
  DeviceId device(std::string_view name) const;
  /// The first device of a kind. @throws InputError if there is none.
  DeviceId first(Device::Kind kind) const;
  /// Whether it says what each of its devices draws.
  bool has_power() const;

  /// The way with the fewest hops (Boost.Graph). @throws InputError if there is none.
  Route route(MemoryId from, MemoryId to) const;
  /// All hops of a route as one: the narrowest bandwidth, the sum of the latencies, the largest half_size. A route
  /// without hops is that of copies within its memory, or where nothing is known of them, 1e300 B/s.
  Direction direction(const Route& route, HostMemory host) const;
  /// Time of one copy on an otherwise idle machine:
  /// latency + (bytes + half_size) / bandwidth of the route, or bytes / rate of a disk at an end if longer.
  Seconds ideal_copy_time(MemoryId from, MemoryId to, Bytes bytes,
                          HostMemory host = HostMemory::pinned) const;

 private:
  std::string file_;
};

/// Names of platforms/*.yaml, sorted.
std::vector<std::string> platform_names();

}  // namespace specmoe
