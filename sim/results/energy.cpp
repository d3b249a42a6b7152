#include "sim/results/energy.hpp"

#include <limits>

namespace specmoe {

namespace {
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
}  // namespace

double EnergyUse::Use::energy() const { return each ? (Bytes{bytes} * *each).value : kUnknown; }

EnergyUse::EnergyUse(const Platform& platform) : platform_(platform) {
  for (const Link& link : platform.links) {
    links_.push_back({0, link.forward.energy});
    links_.push_back({0, link.backward.energy});
  }
  for (const Memory& memory : platform.memories) memories_.push_back({0, memory.energy});
}

void EnergyUse::copied(const Route& route, Bytes bytes) {
  for (const Hop& hop : route.hops)
    links_[2 * static_cast<std::size_t>(hop.link) + (hop.forward ? 0 : 1)].bytes += bytes.count;
  for (const MemoryId end : {route.from, route.to})
    memories_[static_cast<std::size_t>(end.index)].bytes += bytes.count;
}

void EnergyUse::computed(DeviceId device, const Kernel& kernel) {
  memories_[static_cast<std::size_t>(platform_[device].memory.index)].bytes += memory_traffic(kernel).count;
}

double EnergyUse::total(const std::vector<Joules>& devices) const {
  if (devices.empty()) return kUnknown;
  double sum = 0;
  for (const Joules device : devices) sum += device.value;
  for (const auto* uses : {&links_, &memories_})
    for (const Use& use : *uses)
      if (use.each) sum += use.energy();
  return sum;
}

void EnergyUse::write(H5File& file, const SimulationEnd& end) const {
  std::vector<std::string> names;
  std::vector<double> idle, drawn;
  for (std::size_t i = 0; i < end.device_energy.size(); ++i) {
    const Device& device = platform_.devices[i];
    names.push_back(device.name);
    idle.push_back((device.power->idle * end.date).value);
    drawn.push_back(end.device_energy[i].value);
  }
  file.write_strings("/energy/name", names);
  file.write("/energy/idle", idle);
  file.write("/energy/total", drawn);

  std::vector<double> of_links, of_memories;
  std::vector<std::int64_t> bytes;
  for (const Use& use : links_) of_links.push_back(use.energy());
  names.clear();
  for (std::size_t i = 0; i < memories_.size(); ++i) {
    names.push_back(platform_.memories[i].name);
    bytes.push_back(memories_[i].bytes);
    of_memories.push_back(memories_[i].energy());
    if (platform_.memories[i].kind == Memory::Kind::disk) of_links.push_back(of_memories.back());
  }
  file.write("/links/energy", of_links);
  file.write_strings("/memories/name", names);
  file.write("/memories/bytes", bytes);
  file.write("/memories/energy", of_memories);
}

}  // namespace specmoe
