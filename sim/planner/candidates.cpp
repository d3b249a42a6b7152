#include "sim/planner/candidates.hpp"

#include <fmt/format.h>

namespace specmoe {

namespace {

std::string cache(Bytes capacity, const char* policy) {
  return fmt::format("cache: {{capacity: {} B, start: popular, {}}}", capacity.count, policy);
}

std::string placed(const std::string& memory) { return fmt::format("placement: {{experts: {}}}", memory); }

}  // namespace

std::vector<Candidate> candidates_of(const Setting& setting, bool cpu_computes) {
  const MoeModel& model = setting.scenario.model;
  const Bytes all = setting.all_experts, room = setting.gpu_room, expert = model.expert_bytes();
  const std::string home = placed(setting.host_name.empty() ? setting.disk_name : setting.host_name);
  std::vector<Candidate> found;
  if (room >= all) {
    found.push_back(
        {Way::resident, "all in GPU memory",
         fmt::format("{{{}, cache: {{capacity: {} B, start: uniform, eviction: static}}}}", home, all.count),
         all, Bytes{0}, Bytes{0}});
    return found;
  }
  if (room < expert) return found;
  const bool by_layer = room >= expert * model.moe_layers;
  const std::string gate =
      fmt::format("prefetch: {{predictor: gate, window: 1, accuracy: {}}}", kGateAccuracy);

  // A cache that changes needs a copy of every expert to load from.
  if (all <= setting.host_free) {
    const auto add = [&](Way way, const char* name, const char* policy, const std::string& more) {
      found.push_back(
          {way, name, fmt::format("{{{}, {}{}}}", home, cache(room, policy), more), room, all, {}});
    };
    add(Way::fetched, "fetched, LRU", "eviction: lru", "");
    if (by_layer) add(Way::fetched, "fetched, LRU a layer", "eviction: lru, scope: layer", "");
    add(Way::fetched, "fetched, LFU", "eviction: lfu", "");
    add(Way::fetched, "fetched, most popular kept", "eviction: static", "");
    add(Way::fetched, "fetched, LRU, next layer's gate", "eviction: lru", ", " + gate);
    if (cpu_computes) {
      add(Way::shared, "shared with the CPU, LRU", "eviction: lru", ", miss: {compute: split}");
      add(Way::shared, "shared with the CPU, most popular kept", "eviction: static",
          ", miss: {compute: split}");
      add(Way::shared, "cheaper of GPU and CPU, LRU", "eviction: lru", ", miss: {compute: cheaper}");
      add(Way::shared, "cheaper of GPU and CPU, most popular kept", "eviction: static",
          ", miss: {compute: cheaper}");
    }
  }
  // What stays where it is need be there alone.
  if (cpu_computes && all - room <= setting.host_free) {
    found.push_back({Way::on_cpu,
                     "others on the CPU, most popular on the GPU",
                     fmt::format("{{{}, {}, miss: {{compute: cpu}}}}", home, cache(room, "eviction: static")),
                     room,
                     all - room,
                     {}});
    const Bytes layer = expert * model.experts;
    const auto kept = static_cast<int>(room.count / layer.count), away = model.moe_layers - kept;
    if (kept > 0 && layer * away <= setting.host_free)
      found.push_back({Way::on_cpu,
                       "experts of the first layers on the CPU",
                       fmt::format("{{{}, cache: {{capacity: {} B, start: uniform, eviction: static}}, "
                                   "miss: {{compute: cpu, cpu_layers: {}}}}}",
                                   home, (layer * kept).count, away),
                       layer * kept,
                       layer * away,
                       {},
                       away});
  }
  if (!found.empty() || all > setting.disk_free) return found;

  const std::string disk = placed(setting.disk_name);
  // Host memory before the disk holds what the GPU holds, and more.
  const Bytes host = Bytes{setting.host_free.count / expert.count * expert.count};
  const bool through_host = host >= expert * 2;
  const Bytes held = through_host ? std::min(room, host - expert) : room;
  const std::string host_cache =
      through_host ? fmt::format(", host_cache: {{capacity: {} B, eviction: lru}}", host.count) : "";
  const auto add = [&](const char* name, const char* policy, const std::string& more) {
    found.push_back({Way::from_disk, name,
                     fmt::format("{{{}, {}{}{}}}", disk, cache(held, policy), host_cache, more), held,
                     through_host ? host : Bytes{0}, all});
  };
  add("from the disk, LRU", "eviction: lru", "");
  add("from the disk, LFU", "eviction: lfu", "");
  add("from the disk, most popular kept", "eviction: static", "");
  if (!through_host) add("from the disk, LRU, next layer's gate", "eviction: lru", ", " + gate);
  if (cpu_computes && through_host) {
    add("from the disk, cheaper of GPU and CPU", "eviction: lru", ", miss: {compute: cheaper}");
    add("from the disk, others on the CPU", "eviction: static", ", miss: {compute: cpu}");
  }
  return found;
}

}  // namespace specmoe
