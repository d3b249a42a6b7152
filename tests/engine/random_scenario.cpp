#include "tests/engine/random_scenario.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "sim/base/random.hpp"

namespace specmoe {

const EvictionKind& eviction_named(std::string_view name) {
  for (const EvictionKind& kind : eviction_kinds())
    if (kind.name == name) return kind;
  throw std::logic_error("no such eviction policy");
}

const PredictorKind& predictor_named(std::string_view name) {
  for (const PredictorKind& kind : predictor_kinds())
    if (kind.name == name) return kind;
  throw std::logic_error("no such predictor");
}

const PlacementKind& placement_named(std::string_view name) {
  for (const PlacementKind& kind : placement_kinds())
    if (kind.name == name) return kind;
  throw std::logic_error("no such placement");
}

static Platform random_platform(Random& random, bool contention) {
  const auto between = [&](double low, double high) { return low + (high - low) * random.uniform(); };
  Platform p;
  p.name = "random";
  p.memories = {{"dram", Memory::Kind::host, {1'000'000'000'000}, {0}, {50e9}, {50e9}},
                {"vram", Memory::Kind::device, {80'000'000'000}, {0}, {between(2e11, 4e12)}, {1e12}}};
  p.memories[1].write = p.memories[1].read;
  const double forward = between(2e8, 6e10), backward = between(2e8, 6e10);
  const auto direction = [&](double bandwidth) -> Direction {
    return {{bandwidth}, {between(0, 1e-5)}, {static_cast<std::int64_t>(between(0, 3e5))}};
  };
  p.links = {{"pcie", "dram", "vram", direction(forward), direction(backward), direction(forward / 3),
              direction(backward / 3),
              BytesPerSecond{contention ? between(1.0, 1.9) * std::min(forward, backward) +
                                              std::abs(forward - backward)
                                        : forward + backward}}};
  Device gpu{"gpu", Device::Kind::gpu, {1}, {}, {}, {}};
  gpu.peak[WeightFormat::bf16] = {between(1e12, 1e15)};
  gpu.host_calls = {{between(1e-7, 6e-6)}, {between(1e-7, 3e-6)}, {between(0, 1e-6)},
                    {between(0, 1e-6)},    {between(0, 5e-6)},    {between(0, 1e-6)}};
  for (Saturation& s : gpu.saturation)
    s = {{between(5e-7, 4e-6)},
         between(0.3, 1),
         {static_cast<std::int64_t>(between(0, 1e6))},
         between(0.3, 1),
         16,
         {random.chance(0.3) ? between(0, 4e-6) : 0}};
  if (random.chance(0.5)) gpu.event_time = {between(0, 5e-6)};
  if (random.chance(0.5)) gpu.event_latency = {between(0, 5e-6)};
  if (random.chance(0.5)) {
    gpu.copy_slowdown_memory = between(0, 0.5);
    gpu.copy_slowdown_compute = between(0, 0.2);
  }
  for (auto& curves : gpu.curves)
    while (random.chance(0.3)) {
      Curve curve{{}, WeightFormat::bf16, {1, 8, 64}, {}};
      for (double& size : curve.shape) size = between(1, 512);
      for (std::size_t i = 0; i < curve.along.size(); ++i) curve.ratio.push_back(between(0.5, 2));
      curves.push_back(curve);
    }
  p.devices = {gpu, {"cpu", Device::Kind::cpu, {0}, {}, {}, gpu.saturation}};
  return p;
}

static MoeModel random_model(Random& random) {
  const auto pick = [&](int low, int high) {
    return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low + 1)));
  };
  const int layers = pick(2, 5), experts = pick(2, 16);
  const bool encoder = random.chance(0.2), everywhere = random.chance(0.5);
  std::string text = fmt::format(
      "name: random\nsource: a test\nhidden: {}\nvocabulary: {}\ntied_embeddings: {}\nformat: bf16\n"
      "decoder: {{layers: {}, moe_layers: {}}}\n"
      "attention: {{heads: 4, kv_heads: {}, head_dim: 32}}\n"
      "experts: {{routed: {}, top_k: {}, intermediate: {}, gated: {}}}\n"
      "published: {{total_billion: 1, source: a test}}\n",
      64 * pick(1, 8), 100 * pick(1, 9), random.chance(0.5), layers,
      everywhere ? "all" : "{first: 1, step: 2}", random.chance(0.5) ? 2 : 4, experts,
      pick(1, std::min(4, experts)), 64 * pick(1, 16), random.chance(0.5));
  if (random.chance(0.4)) text += "shared: {intermediate: 128, gated: true, gate: true}\n";
  if (encoder || !everywhere) text += "dense: {intermediate: 256, gated: true}\n";
  if (encoder) text += "encoder: {layers: 2, moe_layers: [1]}\n";
  return MoeModel::read(Yaml::parse(text, "random.yaml"));
}

RandomScenario random_scenario(std::uint64_t seed, bool contention) {
  Random random = Random::stream(seed, "random scenario");
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high - low + 1)));
  };
  RandomScenario s{random_platform(random, contention), random_model(random), {}, {}, {}};
  s.routing.layers = s.model.moe_layers;
  s.routing.experts = static_cast<int>(s.model.experts);
  s.routing.top_k = static_cast<int>(s.model.top_k);
  s.routing.requests = pick(1, 4);
  s.routing.prompt_tokens = pick(1, 8);
  s.routing.output_tokens = pick(1, 8);
  s.routing.seed = seed;
  s.routing.zipf = 1.5 * random.uniform();
  s.routing.reuse = 0.8 * random.uniform();
  s.routing.correlation = 0.8 * random.uniform();
  s.workload.requests = s.routing.requests;
  s.workload.batch = pick(1, 4);

  EngineSettings& e = s.settings;
  e.seed = seed;
  e.gpu = {0};
  e.expert_home = {0};
  e.host_memory = random.chance(0.2) ? HostMemory::pageable : HostMemory::pinned;
  e.deduplicate = random.chance(0.7);
  e.grouped = std::array{Grouping::never, Grouping::faster, Grouping::always}[random.below(3)];
  e.cache_scope = random.chance(0.3) ? CacheScope::layer : CacheScope::global;
  const std::int64_t all = s.model.moe_layers * s.model.experts;
  const std::int64_t least = e.cache_scope == CacheScope::layer ? s.model.moe_layers : 1;
  e.cache_capacity = s.model.expert_bytes() * pick(least, all);
  if (random.chance(0.3)) e.start = &placement_kinds()[1 + random.below(placement_kinds().size() - 1)];
  e.eviction = &eviction_kinds()[random.below(eviction_kinds().size())];
  // Belady's dates assume that an expert enters the cache when it is used.
  e.predictor = &predictor_kinds()[random.below(predictor_kinds().size())];
  if (e.eviction->needs_future || e.predictor->name == "external") e.predictor = &predictor_named("none");
  e.window = static_cast<int>(pick(1, s.model.moe_layers));
  if (random.chance(0.3)) e.prefetch_budget = s.model.expert_bytes() * pick(1, 4);
  e.accuracy = {{0.5 + 0.5 * random.uniform(), 0.5}};
  e.popularity.assign(static_cast<std::size_t>(s.model.moe_layers), {});
  for (auto& layer : e.popularity)
    for (std::int64_t i = 0; i < s.model.experts; ++i) layer.push_back(pick(0, 100));
  return s;
}

}  // namespace specmoe
