#include "tests/engine/random_scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
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

const StartKind& start_named(std::string_view name) {
  for (const StartKind& kind : start_kinds())
    if (kind.name == name) return kind;
  throw std::logic_error("no such placement");
}

static Platform random_platform(Random& random, bool contention) {
  const auto between = [&](double low, double high) { return low + (high - low) * random.uniform(); };
  Platform p;
  p.name = "random";
  p.memories = {{"dram", Memory::Kind::host, {1'000'000'000'000}, {0}, {50e9}, {50e9}},
                {"vram", Memory::Kind::device, {80'000'000'000}, {0}, {between(2e11, 4e12)}, {1e12}},
                {"nvme", Memory::Kind::disk, {1'000'000'000'000}, {0}, {5e9}, {5e9}}};
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
  Device& cpu = p.devices[1];
  cpu.peak[WeightFormat::bf16] = {between(1e10, 1e13)};
  cpu.host_calls = gpu.host_calls;
  p.memories[2].read = {between(1e8, 1e10)};
  const Direction m2{{between(1e8, 1e10)}, {between(0, 1e-4)}, {0}};
  p.links.push_back({"m2", "nvme", "dram", m2, m2, m2, m2, m2.bandwidth * 2});
  if (!contention) p.memories[0].read = {1e14};  // the CPU's floors keep its kernels far below that
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
  if (random.chance(0.3)) e.step_work = {1e-4 * random.uniform()};
  if (random.chance(0.3)) e.layer_work = {1e-4 * random.uniform()};
  e.cache_scope = random.chance(0.3) ? CacheScope::layer : CacheScope::global;
  const std::int64_t all = s.model.moe_layers * s.model.experts;
  const std::int64_t least = e.cache_scope == CacheScope::layer ? s.model.moe_layers : 1;
  e.cache_capacity = s.model.expert_bytes() * pick(least, all);
  if (random.chance(0.3)) e.start = &start_kinds()[1 + random.below(start_kinds().size() - 1)];
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

  e.pieces.count = static_cast<int>(pick(1, 3));
  if (random.chance(0.2)) e.pieces.size = {pick(1000, 200'000)};
  if (random.chance(0.3)) e.prefetch_step_budget = s.model.expert_bytes() * pick(1, 20);
  e.prefetch_queue = random.chance(0.4);
  const bool on_disk = random.chance(0.3);
  if (random.chance(0.4)) e.placement = &placement_kinds()[random.below(placement_kinds().size())];
  if (random.chance(0.2)) e.cpu_layers = static_cast<int>(pick(1, s.model.moe_layers));
  if (on_disk) {
    e.expert_home = {2};
    const bool on_cpu = e.cpu_layers > 0 || (e.placement && e.placement->uses_cpu);
    if (on_cpu || random.chance(0.7))
      e.host_cache = HostCacheSettings{e.cache_capacity + s.model.expert_bytes() * pick(1, all),
                                       &eviction_named(random.chance(0.5) ? "lru" : "lfu")};
  }
  if (!e.host_cache && random.chance(0.3)) {
    e.miss.format = random.chance(0.5) ? WeightFormat::int4 : WeightFormat::fp8;
    e.miss.full_up_to = 0.7 * random.uniform();
    e.miss.low_up_to = e.miss.full_up_to + 0.3 * random.uniform();
  }
  if (random.chance(0.2)) e.miss.skip_below = 0.5 * random.uniform();
  if (random.chance(0.3)) {
    const bool cpu_computes = e.cpu_layers > 0 || (e.placement && e.placement->uses_cpu);
    PredictorCost cost;
    cost.runs_on = static_cast<PredictorCost::RunsOn>(random.below(4));
    // Without contention the kernels of a device are on one stream.
    if (!contention && (cost.runs_on == PredictorCost::RunsOn::stream ||
                        (cost.runs_on == PredictorCost::RunsOn::cpu && cpu_computes)))
      cost.runs_on = PredictorCost::RunsOn::compute;
    for (NetworkPart* part : {&cost.network.step, &cost.network.layer}) {
      if (random.chance(0.6)) part->products = {{pick(1, 3), 64 * pick(1, 8), 64 * pick(1, 8)}};
      if (random.chance(0.3)) part->attention = {{4, 32, random.chance(0.5) ? -1 : pick(1, 32)}};
    }
    e.predictor_cost = cost;
  }
  return s;
}

void load_all_in_full(EngineSettings& settings) {
  settings.placement = nullptr;
  settings.cpu_layers = 0;
  settings.miss = {};
}

void WeightedGenerator::read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                                     std::span<float> out) {
  const auto k = static_cast<std::size_t>(top_k());
  for (std::size_t at = 0; at < out.size(); at += k) {
    const std::int64_t row = first_row + static_cast<std::int64_t>(at / k) / layers();
    Random random = Random::stream(static_cast<std::uint64_t>(request * 1'000'000 + row * 1000) +
                                       at / k % static_cast<std::size_t>(layers()),
                                   "gate weights");
    float sum = 0;
    for (std::size_t rank = 0; rank < k; ++rank) sum += out[at + rank] = static_cast<float>(random.uniform());
    std::sort(out.begin() + static_cast<std::ptrdiff_t>(at),
              out.begin() + static_cast<std::ptrdiff_t>(at + k), std::greater<>());
    for (std::size_t rank = 0; rank < k; ++rank) out[at + rank] /= sum;
  }
  if (rows * layers() * top_k() != std::ssize(out)) throw std::logic_error("gate weights of other rows");
}

}  // namespace specmoe
