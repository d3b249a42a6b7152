#include "sim/planner/upgrades.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace specmoe {

namespace {

Edit edit(const std::string& path, const std::string& value) {
  return {path, Yaml::parse("?", "plan").replaced(value)};
}

std::optional<BetterMachine> next_card(const Question& question, const Setting& setting) {
  const Platform& own = setting.scenario.platform;
  const auto memory_of = [](const Platform& platform) -> const Memory& {
    return platform[platform[platform.first(Device::Kind::gpu)].memory];
  };
  const Memory& mine = memory_of(own);
  std::optional<Platform> next;
  std::string file;
  for (const std::string& name : platform_names()) {
    const Platform other = Platform::load(name);
    const Memory& its = memory_of(other);
    if (its.kind != mine.kind || its.capacity < mine.capacity || its.read <= mine.read) continue;
    if (next && memory_of(*next).read <= its.read) continue;
    next = other;
    file = name;
  }
  if (!next) return std::nullopt;
  BetterMachine better{fmt::format("{} instead", next->name), question, {}};
  better.question.platform = file;
  // What was changed in the old card's file may have no place in the new one's.
  std::erase_if(better.question.changes, [](const Edit& each) { return each.path.starts_with("platform."); });
  const auto host = std::find_if(next->memories.begin(), next->memories.end(),
                                 [](const Memory& m) { return m.kind == Memory::Kind::host; });
  if (!setting.host_name.empty() && host != next->memories.end()) {
    const Memory& old = own[own.memory(setting.host_name)];
    better.question.host_memory = setting.host_free + host->reserved;
    better.changes.push_back(
        edit(fmt::format("platform.memories.{}.read", host->name), fmt::format("{} B/s", old.read.value)));
    better.changes.push_back(
        edit(fmt::format("platform.memories.{}.write", host->name), fmt::format("{} B/s", old.write.value)));
  }
  return better;
}

}  // namespace

std::vector<BetterMachine> better_machines(const Question& question, const Setting& setting) {
  const Platform& platform = setting.scenario.platform;
  std::vector<BetterMachine> all;
  const auto add = [&](const std::string& what, const std::vector<std::string>& paths) {
    BetterMachine better{what, question, {}};
    for (const std::string& path : paths) better.changes.push_back(edit("platform." + path, "x2"));
    all.push_back(std::move(better));
  };
  const Memory& gpu = platform[platform[platform.first(Device::Kind::gpu)].memory];
  const std::string gpu_path = "memories." + gpu.name;
  const auto links_between = [&](const std::string& a) {
    std::vector<std::string> paths;
    for (const Hop& hop : platform.route(platform.memory(a), platform.memory(gpu.name)).hops)
      paths.push_back("links." + platform.links[static_cast<std::size_t>(hop.link)].name + ".bandwidth");
    return paths;
  };
  if (!setting.host_name.empty()) add("twice the link's bandwidth", links_between(setting.host_name));
  add("twice the GPU memory", {gpu_path + ".capacity"});
  add("twice the GPU memory's bandwidth", {gpu_path + ".read", gpu_path + ".write"});
  if (!setting.host_name.empty()) {
    const std::string host_path = "memories." + setting.host_name;
    add("twice the host memory's bandwidth", {host_path + ".read", host_path + ".write"});
    BetterMachine more{"twice the host memory", question, {}};
    const Bytes reserved = platform[platform.memory(setting.host_name)].reserved;
    more.question.host_memory = (setting.host_free + reserved) * 2;
    all.push_back(std::move(more));
  }
  if (!setting.disk_name.empty()) {
    std::vector<std::string> paths{"memories." + setting.disk_name + ".read",
                                   "memories." + setting.disk_name + ".write"};
    // Not the card's link, which has its own question.
    for (const Link& link : platform.links)
      if (link.a == setting.disk_name || link.b == setting.disk_name)
        paths.push_back("links." + link.name + ".bandwidth");
    add("twice the disk's bandwidth", paths);
  }
  if (auto card = next_card(question, setting)) all.push_back(std::move(*card));
  return all;
}

}  // namespace specmoe
