#include "sim/scenario/read_transfers.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

Bytes free_of(const Memory& memory) { return memory.capacity - memory.reserved; }

// The memory of the CPU through which experts on a disk come, and in which it computes.
const Memory& host_memory(const Scenario& scenario) {
  return scenario.platform[scenario.platform[scenario.platform.first(Device::Kind::cpu)].memory];
}

void require_cpu(const Yaml& node, const Scenario& scenario, const EngineSettings& s, bool host_cache) {
  const Platform& platform = scenario.platform;
  const Device& cpu = platform[platform.first(Device::Kind::cpu)];
  if (!cpu.computes())
    cannot_run(
        node, fmt::format("gpu: {} has no kernels of its CPU (devices.{}.kernels)", platform.name, cpu.name));
  if (platform[cpu.memory].kind != Memory::Kind::host)
    cannot_run(node, fmt::format("gpu: CPU and GPU of {} share one memory", platform.name));
  if (s.expert_home != cpu.memory && !host_cache)
    cannot_run(node, fmt::format("gpu, or experts in {}, or a host_cache before {}",
                                 platform[cpu.memory].name, platform[s.expert_home].name));
}

WeightFormat read_format(const Yaml& node, const Scenario& scenario) {
  const auto format = node.choice<WeightFormat>({{"fp8", WeightFormat::fp8},
                                                 {"int8", WeightFormat::int8},
                                                 {"int4", WeightFormat::int4},
                                                 {"mxfp4", WeightFormat::mxfp4},
                                                 {"int3", WeightFormat::int3},
                                                 {"int2", WeightFormat::int2}});
  if (bits_per_weight(format) >= bits_per_weight(scenario.model.expert_format))
    cannot_run(node,
               fmt::format("a smaller format than the experts' {}", name_of(scenario.model.expert_format)));
  return format;
}

// The experts' memory keeps them in both formats.
void require_room_for_copies(const Yaml& node, const Scenario& scenario, const EngineSettings& s,
                             WeightFormat low) {
  const Bytes copy = scenario.model.with_expert_format(low).expert_bytes();
  Bytes all;
  for (const Bytes bytes : s.expert_bytes) {
    if (copy >= bytes) cannot_run(node, fmt::format("a format smaller than the experts' {} B", bytes.count));
    all += (bytes + copy) * scenario.model.experts;
  }
  const Memory& home = scenario.platform[s.expert_home];
  if (all > free_of(home))
    cannot_run(
        node, fmt::format("room for experts and copies, {}, in {}, which has {}: {} too much", gigabytes(all),
                          home.name, gigabytes(free_of(home)), gigabytes(all - free_of(home))));
}

}  // namespace

void read_transfer(const Yaml& strategy, const Yaml& document, const Scenario& scenario,
                   EngineSettings& out) {
  const Section transfer(strategy, document, "transfer", {"pieces"});
  const auto pieces = transfer.find("pieces");
  if (!pieces || (pieces->is_scalar() && pieces->text() == "whole")) return;
  if (pieces->is_scalar() && pieces->text() == "matrices")
    out.pieces.count = scenario.model.expert.gated ? 3 : 2;
  else
    try {
      out.pieces.size = pieces->bytes({4096});
    } catch (const InputError&) {
      pieces->fail("whole, matrices, or at least 4096 B, e.g. \"4 MB\"");
    }
}

void read_miss(const Yaml& strategy, const Yaml& document, const Scenario& scenario, EngineSettings& out) {
  const Section miss(strategy, document, "miss",
                     {"compute", "cpu_layers", "format", "thresholds", "skip_below"});
  const bool host_cache = strategy.find("host_cache") || document.find("host_cache");
  if (const auto compute = miss.find("compute")) {
    out.placement = find_kind(placement_kinds(), *compute);
    if (out.placement->uses_cpu) require_cpu(*compute, scenario, out, host_cache);
  }
  if (const auto layers = miss.find("cpu_layers")) {
    out.cpu_layers = static_cast<int>(layers->integer(0, scenario.model.moe_layers));
    if (out.cpu_layers > 0) require_cpu(*layers, scenario, out, host_cache);
  }
  const auto needs_weights = [&](const Yaml& node) {
    if (!scenario.routing.open()->has_weights())
      cannot_run(node, "routing with gate weights: a trace that recorded them");
  };
  if (const auto format = miss.find("format")) {
    if (host_cache) format->fail("no such key beside a host_cache");
    out.miss.format = read_format(*format, scenario);
    require_room_for_copies(*format, scenario, out, *out.miss.format);
    needs_weights(*format);
  }
  if (const auto thresholds = miss.find("thresholds")) {
    if (!out.miss.format) thresholds->fail("a format for what lies between them");
    const auto both = thresholds->items();
    if (both.size() != 2) thresholds->fail("two numbers, e.g. [0.6, 0.9]");
    out.miss.full_up_to = both[0].number(0, 1);
    out.miss.low_up_to = both[1].number(out.miss.full_up_to, 1);
  }
  if (const auto below = miss.find("skip_below")) {
    out.miss.skip_below = below->number(0, 1);
    if (out.miss.skip_below > 0) needs_weights(*below);
  }
}

void read_host_cache(const Yaml& strategy, const Yaml& document, const Scenario& scenario,
                     EngineSettings& out) {
  const Section section(strategy, document, "host_cache", {"capacity", "eviction"});
  if (!section.own && !section.common) return;
  const Yaml& node = section.own ? *section.own : *section.common;
  const Platform& platform = scenario.platform;
  if (platform[out.expert_home].kind != Memory::Kind::disk)
    throw CannotRun(node.file(), node.line(),
                    fmt::format("host_cache: experts wait in {}", platform[out.expert_home].name),
                    "a disk in placement.experts");
  const Memory& host = host_memory(scenario);
  if (host.kind != Memory::Kind::host)
    throw CannotRun(node.file(), node.line(),
                    fmt::format("host_cache: {} has no memory of its host", platform.name),
                    "a machine whose memory is not one for both");
  const auto capacity = section.find("capacity");
  if (!capacity) node["capacity"];  // says that it is missing
  HostCacheSettings cache{capacity->bytes(), &eviction_kinds().front()};
  const Bytes least =
      out.cache_capacity + *std::max_element(out.expert_bytes.begin(), out.expert_bytes.end());
  if (cache.capacity < least)
    cannot_run(*capacity, fmt::format("at least the GPU's cache and one expert: {}", gigabytes(least)));
  if (cache.capacity > free_of(host))
    cannot_run(*capacity, fmt::format("at most the {} of {} ({} over)", gigabytes(free_of(host)), host.name,
                                      gigabytes(cache.capacity - free_of(host))));
  if (const auto eviction = section.find("eviction")) {
    cache.eviction = find_kind(eviction_kinds(), *eviction);
    if (cache.eviction->needs_future) eviction->fail("a policy that does not know the future");
  }
  out.host_cache = cache;
}

void read_prefetch_queue(const Section& prefetch, const Scenario& scenario, EngineSettings& out) {
  if (const auto budget = prefetch.find("step_budget")) out.prefetch_step_budget = budget->bytes({1});
  const auto queue = prefetch.find("queue");
  if (!queue || !queue->boolean()) return;
  out.prefetch_queue = true;
  if (!out.prefetch_budget && !out.prefetch_step_budget)
    queue->fail("false, or a budget or step_budget: without one nothing waits");
  const Bytes piece = out.pieces.piece(scenario.model.expert_bytes());
  for (const char* key : {"budget", "step_budget"})
    if (const auto budget = prefetch.find(key))
      if (budget->bytes() < piece) budget->fail(fmt::format("at least one piece: {} B", piece.count));
}

}  // namespace specmoe
