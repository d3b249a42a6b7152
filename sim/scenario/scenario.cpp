#include "sim/scenario/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "models/moe/routing/routing_trace.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/yaml.hpp"
#include "sim/scenario/popularity.hpp"
#include "sim/scenario/read_network.hpp"
#include "sim/scenario/read_policies.hpp"
#include "sim/scenario/read_profile.hpp"
#include "sim/scenario/read_transfers.hpp"

namespace specmoe {

std::unique_ptr<RoutingSource> RoutingOrigin::open() const {
  if (profile) return std::make_unique<ProfileGenerator>(*profile, from_profile);
  if (trace.empty()) return std::make_unique<RoutingGenerator>(generator);
  return RoutingTrace::open(trace);
}

Bytes all_experts(const Scenario& scenario, const EngineSettings& settings) {
  Bytes all;
  for (const Bytes bytes : settings.expert_bytes) all += bytes * scenario.model.experts;
  return all;
}

namespace {

constexpr Bytes kWorkspace{
    64 << 20};  // cuBLAS takes 32 MiB on Hopper and 4 MiB before it; twice that with staging

// A name of a shipped file, or a path relative to the scenario.
std::string name_or_file(const Yaml& node, const std::filesystem::path& folder) {
  const std::filesystem::path local = folder / node.text();
  std::error_code ignored;
  return std::filesystem::is_regular_file(local, ignored) ? local.string() : node.text();
}

Yaml noted(const Yaml& document, Scenario& scenario) {
  scenario.inputs.push_back(document.file());
  return document;
}

MoeModel read_model(const Yaml& node, const std::filesystem::path& folder, const std::vector<Edit>& edits,
                    Scenario& scenario) {
  const Yaml name = node.is_scalar() ? node : node["name"];
  MoeModel model =
      MoeModel::read(apply_edits(noted(MoeModel::open(name_or_file(name, folder)), scenario), edits));
  if (node.is_scalar()) return model;
  node.allow_only(kModelKeys);
  if (const auto layers = node.find("layers")) {
    if (model.encoder_decoder()) layers->fail("no such key for an encoder-decoder model");
    model = model.with_first_blocks(layers->integer(1, static_cast<std::int64_t>(model.blocks.size())));
    if (model.moe_layers == 0) layers->fail("enough blocks to have experts");
  }
  if (const auto top_k = node.find("top_k"))
    model.top_k = top_k->integer(1, model.experts / model.expert_groups * model.expert_groups_kept);
  if (const auto format = node.find("expert_format"))
    return model.with_expert_format(format->choice<WeightFormat>({{"bf16", WeightFormat::bf16},
                                                                  {"fp32", WeightFormat::fp32},
                                                                  {"fp8", WeightFormat::fp8},
                                                                  {"int8", WeightFormat::int8},
                                                                  {"int4", WeightFormat::int4},
                                                                  {"mxfp4", WeightFormat::mxfp4},
                                                                  {"int3", WeightFormat::int3},
                                                                  {"int2", WeightFormat::int2}}));
  return model;
}

// A workload is walked through step by step when it is read, to find its peak.
void require_countable(const Yaml& load, const Workload& work) {
  constexpr std::int64_t kMost =
      20'000'000;  // 2 s; the simulation of as many would take the better part of a day
  const std::int64_t prompt = load["prompt_tokens"].integer(1, 10'000'000),
                     output = load["output_tokens"].integer(1, 10'000'000);
  const std::int64_t chunks = work.prefill ? (prompt + work.prefill_chunk - 1) / work.prefill_chunk : 0;
  if (work.requests > kMost / (chunks + output))
    throw InputError(load.file(), load.line(),
                     fmt::format("workload: {} requests of {} steps", work.requests, chunks + output),
                     fmt::format("at most {} steps of requests", kMost));
}

// Lengths come from the workload when the routing is generated, and from the trace when it is recorded.
void read_routing_origin(const Yaml& document, const std::filesystem::path& folder, Scenario& scenario) {
  const Yaml routing = document["routing"];
  const Yaml load = document["workload"];
  routing.allow_only({"trace", "profile", "generate"});
  if (routing.find("trace").has_value() + routing.find("profile").has_value() +
          routing.find("generate").has_value() !=
      1)
    throw InputError(routing.file(), routing.line(),
                     "routing: none or several of trace, profile and generate", "one of them");
  load.allow_only(
      {"requests", "first_request", "batch", "prompt_tokens", "output_tokens", "prefill", "prefill_chunk"});
  Workload& work = scenario.workload;
  work.batch = load["batch"].integer(1, 4096);
  work.requests = load["requests"].integer(1, 1'000'000'000);
  if (const auto first = load.find("first_request")) work.first_request = first->integer(0, 1'000'000'000);
  if (const auto prefill = load.find("prefill")) work.prefill = prefill->boolean();
  if (const auto chunk = load.find("prefill_chunk")) work.prefill_chunk = chunk->integer(1, 10'000'000);

  if (!routing.find("trace")) require_countable(load, work);
  if (const auto generate = routing.find("generate")) {
    RoutingOptions& options = scenario.routing.generator;
    generate->allow_only({"zipf", "counts", "reuse", "correlation"});
    if (generate->find("zipf").has_value() == generate->find("counts").has_value())
      throw InputError(generate->file(), generate->line(),
                       "routing.generate: neither or both of zipf and counts", "one of them");
    options.layers = scenario.model.moe_layers;
    options.experts = static_cast<int>(scenario.model.experts);
    options.top_k = static_cast<int>(scenario.model.top_k);
    options.requests = work.first_request + work.requests;
    options.seed = scenario.seed;
    if (const auto zipf = generate->find("zipf")) {
      options.zipf = zipf->number(0, 10);
      options.groups = static_cast<int>(scenario.model.expert_groups);
      options.groups_kept = static_cast<int>(scenario.model.expert_groups_kept);
    }
    if (const auto counts = generate->find("counts")) {
      options.counts = read_counts(*counts, folder, options);
      if (counts->is_scalar()) scenario.inputs.push_back(folder / counts->text());
    }
    options.reuse = (*generate)["reuse"].number(0, 1);
    options.correlation = (*generate)["correlation"].number(0, 1);
    options.prompt_tokens = load["prompt_tokens"].integer(1, 10'000'000);
    options.output_tokens = load["output_tokens"].integer(1, 10'000'000);
    return;
  }
  if (const auto profile = routing.find("profile")) {
    read_profile(*profile, name_or_file(*profile, folder), load, scenario);
    return;
  }
  const Yaml trace = *routing.find("trace");
  scenario.routing.trace = folder / trace.text();
  scenario.inputs.push_back(scenario.routing.trace);
  if (const auto prompt = load.find("prompt_tokens"))
    prompt->fail("no such key: a trace has its own prompt lengths");
  if (const auto output = load.find("output_tokens")) work.output_tokens = output->integer(1, 10'000'000);
  const auto source = scenario.routing.open();
  require_shape(trace, "routing.trace", source->layers(), source->experts(), source->top_k(), scenario.model);
  if (work.first_request + work.requests > source->requests())
    load["requests"].fail(fmt::format("at most the trace's {} requests after the first {}",
                                      source->requests(), work.first_request));
  if (work.prefill)
    for (std::int64_t r = work.first_request; r < work.first_request + work.requests; ++r)
      if (source->request(r).prefill_rows == 0)
        throw InputError(load.file(), load.line(),
                         fmt::format("workload: request {} of the trace was recorded without its prefill", r),
                         "prefill: false");
}

// As the engine that recorded the trace stored them.
std::vector<Bytes> trace_sizes(const Scenario& scenario, const Yaml& where) {
  std::vector<Bytes> sizes;
  if (!scenario.routing.trace.empty()) {
    const auto trace = RoutingTrace::open(scenario.routing.trace);
    for (const std::int64_t bytes : trace->header().expert_bytes) sizes.push_back({bytes});
  }
  if (sizes.empty()) where.fail("model: the routing tells no expert sizes");
  return sizes;
}

// "25 %" of the experts.
Bytes share_of(const Yaml& share, Bytes all) {
  return {std::llround(share.share() * static_cast<double>(all.count))};
}

void read_cache(const Section& cache, const Scenario& scenario, Strategy& strategy, const Yaml& where) {
  EngineSettings& s = strategy.settings;
  read_eviction(cache.find("eviction"), cache.find("start"), where, strategy.name, s);
  if (const auto scope = cache.find("scope"))
    s.cache_scope = scope->choice<CacheScope>({{"global", CacheScope::global}, {"layer", CacheScope::layer}});

  const Bytes rest = strategy.bill.rest();
  const Bytes expert = *std::max_element(s.expert_bytes.begin(), s.expert_bytes.end());
  const Bytes least =
      s.cache_scope == CacheScope::layer ? expert * static_cast<std::int64_t>(s.expert_bytes.size()) : expert;
  std::string items;
  for (const auto& [name, bytes] : strategy.bill.items)
    items += fmt::format("{}{} {}", items.empty() ? "" : " + ", name, gigabytes(bytes));
  if (rest < least)
    throw CannotRun(where.file(), where.line(),
                    fmt::format("{}: {} does not fit in GPU memory by {}: {} of {} leave {}", strategy.name,
                                scenario.model.name, gigabytes(least - rest), items,
                                gigabytes(strategy.bill.available), gigabytes(rest)),
                    fmt::format("room for one expert{} ({})",
                                s.cache_scope == CacheScope::layer ? " a layer" : "", gigabytes(least)));
  Bytes all;
  for (std::size_t layer = static_cast<std::size_t>(s.cpu_layers); layer < s.expert_bytes.size(); ++layer)
    all += s.expert_bytes[layer] * scenario.model.experts;
  const auto capacity = cache.find("capacity");
  if (!capacity || (capacity->is_scalar() && capacity->text() == "auto")) {
    s.cache_capacity = std::min(rest, all);
    return;
  }
  // With and without a predictor's network a strategy has the same bytes.
  const Bytes network = s.predictor_memory();
  s.cache_capacity =
      (capacity->text().ends_with('%') ? share_of(*capacity, all) : capacity->bytes()) - network;
  if (s.cache_capacity < least)
    cannot_run(*capacity, fmt::format("auto, or at least one expert{}: {}",
                                      network > Bytes{0} ? " and the predictor's network" : "",
                                      gigabytes(least + network)));
  if (s.cache_capacity > rest)
    cannot_run(*capacity, fmt::format("auto, or at most the {} that are left ({} over)",
                                      gigabytes(rest + network), gigabytes(s.cache_capacity - rest)));
}

void read_prefetch(const Section& prefetch, const std::filesystem::path& folder, Scenario& scenario,
                   Strategy& strategy, const Yaml& where) {
  EngineSettings& s = strategy.settings;
  if (const auto window = prefetch.find("window"))
    s.window = static_cast<int>(window->integer(1, std::max(1, scenario.model.moe_layers - 1)));
  if (const auto budget = prefetch.find("budget")) s.prefetch_budget = budget->bytes({1});
  if (const auto width = prefetch.find("width"))
    s.width = static_cast<int>(width->integer(1, scenario.model.experts));
  if (const auto accuracy = prefetch.find("accuracy"))
    s.accuracy = read_accuracy(*accuracy, scenario.model.moe_layers);
  const auto network =
      read_predictor(prefetch.find("predictor"), folder, scenario.model, where, strategy.name, s);
  for (const auto& [name, file] : s.predictor_parameters.files()) scenario.inputs.push_back(file);
  read_network(prefetch, network, strategy.name, scenario, s);
}

Strategy read_strategy(const Yaml& node, const Yaml& document, const std::filesystem::path& folder,
                       Scenario& scenario) {
  Strategy strategy;
  EngineSettings& s = strategy.settings;
  strategy.name = node.find("name") ? node["name"].text() : scenario.name;
  if (strategy.name.find('/') != std::string::npos || strategy.name.size() > 60 || strategy.name == ".")
    node["name"].fail("at most 60 characters, without \"/\"");
  s.seed = scenario.seed;
  s.gpu = scenario.platform.first(Device::Kind::gpu);

  const Section placement(node, document, "placement", {"experts", "host_memory", "expert_bytes"});
  const MemoryId device = scenario.platform[s.gpu].memory;
  if (const auto experts = placement.find("experts")) {
    try {
      s.expert_home = scenario.platform.memory(experts->text());
    } catch (const InputError&) {
      std::vector<std::string_view> names;
      for (const Memory& m : scenario.platform.memories) names.push_back(m.name);
      experts->fail_choice(names);
    }
    if (s.expert_home == device) experts->fail("a memory other than the GPU's");
  } else {
    // The host's memory, or on a machine whose memory is one for both, the disk.
    for (int i = static_cast<int>(scenario.platform.memories.size()) - 1; i >= 0; --i) {
      const Memory::Kind kind = scenario.platform.memories[static_cast<std::size_t>(i)].kind;
      const bool unified = scenario.platform[device].kind == Memory::Kind::unified;
      if (kind == (unified ? Memory::Kind::disk : Memory::Kind::host)) s.expert_home = {i};
    }
    if (s.expert_home.index < 0)
      throw InputError(document.file(), document.line(), "placement.experts: missing", "a memory's name");
  }
  if (const auto host = placement.find("host_memory"))
    s.host_memory =
        host->choice<HostMemory>({{"pinned", HostMemory::pinned}, {"pageable", HostMemory::pageable}});
  scenario.platform.route(s.expert_home, device);  // throws when there is no way
  s.expert_bytes.assign(static_cast<std::size_t>(scenario.model.moe_layers), scenario.model.expert_bytes());
  if (const auto sizes = placement.find("expert_bytes"))
    if (sizes->choice<bool>({{"model", false}, {"trace", true}}))
      s.expert_bytes = trace_sizes(scenario, *sizes);
  const Memory& home = scenario.platform[s.expert_home];
  const Bytes all = all_experts(scenario, s);
  if (all > home.capacity - home.reserved)
    throw CannotRun(
        node.file(), node.line(),
        fmt::format("{}: {:.1f} GB of experts do not fit in {}, which has {:.1f} GB: {:.1f} GB too much",
                    scenario.model.name, static_cast<double>(all.count) * 1e-9, home.name,
                    static_cast<double>((home.capacity - home.reserved).count) * 1e-9,
                    static_cast<double>((all - home.capacity + home.reserved).count) * 1e-9),
        "a larger memory in placement.experts, or a smaller model.expert_format");

  read_transfer(node, document, scenario, s);
  read_miss(node, document, scenario, s);
  const Section engine(node, document, "engine", {"deduplicate", "grouped", "workspace", "host_work"});
  if (const auto deduplicate = engine.find("deduplicate")) s.deduplicate = deduplicate->boolean();
  if (const auto grouped = engine.find("grouped"))
    s.grouped = grouped->choice<Grouping>(
        {{"never", Grouping::never}, {"faster", Grouping::faster}, {"always", Grouping::always}});
  if (const auto work = engine.find("host_work")) {
    work->allow_only({"step", "layer"});
    if (const auto step = work->find("step")) s.step_work = step->seconds();
    if (const auto layer = work->find("layer")) s.layer_work = layer->seconds();
  }
  const auto workspace = engine.find("workspace");
  const Section prefetch(
      node, document, "prefetch",
      {"predictor", "window", "budget", "accuracy", "width", "queue", "step_budget", "network"});
  read_prefetch(prefetch, folder, scenario, strategy, node);
  strategy.bill = memory_bill(scenario.platform, s.gpu, scenario.model, scenario.peak,
                              workspace ? workspace->bytes() : kWorkspace);
  if (const Bytes network = s.predictor_memory(); network > Bytes{0})
    strategy.bill.items.emplace_back(kPredictorItem, network);
  read_cache(Section(node, document, "cache", {"capacity", "scope", "eviction", "start"}), scenario, strategy,
             node);
  read_prefetch_queue(prefetch, scenario, s);
  read_host_cache(node, document, scenario, s);
  return strategy;
}

}  // namespace

Scenario Scenario::load(const std::filesystem::path& file, const std::string& platform,
                        std::vector<RefusedStrategy>* refused) {
  const Yaml document = Yaml::load(file);
  std::vector<Edit> edits;
  // From here, and not from the scenario's folder.
  if (!platform.empty())
    edits.push_back({"platform", document.replaced(std::filesystem::is_regular_file(platform)
                                                       ? std::filesystem::absolute(platform).string()
                                                       : platform)});
  return read(document, edits, refused);
}

Scenario Scenario::read(const Yaml& original, const std::vector<Edit>& edits,
                        std::vector<RefusedStrategy>* refused) {
  SortedEdits sorted = sort_edits(edits);
  // "model.top_k" of a model that is given by its name alone.
  Yaml document = original;
  for (const Edit& edit : sorted.scenario) {
    if (edit.path.starts_with("model."))
      if (const Yaml model = document["model"]; model.is_scalar())
        document = document.with("model", model.wrapped("name"));
    document = apply_edits(document, {edit});
  }
  document.allow_only({"name", "description", "seed", "platform", "model", "routing", "workload", "placement",
                       "transfer", "miss", "engine", "cache", "host_cache", "prefetch", "strategies"});
  Scenario scenario;
  scenario.file = document.file();
  scenario.text = document.source_text();
  for (const Edit& edit : edits) scenario.text += fmt::format("# {}: {}\n", edit.path, edit.value.written());
  scenario.identity = document.written();
  for (const auto* changes : {&sorted.platform, &sorted.model})
    for (const Edit& edit : *changes)
      scenario.identity += fmt::format("\n{}: {}", edit.path, edit.value.written());
  scenario.name = document["name"].name();
  if (const auto description = document.find("description")) scenario.description = description->text();
  scenario.seed = static_cast<std::uint64_t>(document["seed"].integer(0, INT64_MAX));
  const std::filesystem::path folder = std::filesystem::path(scenario.file).parent_path();
  scenario.platform = Platform::read(apply_edits(
      Platform::open(name_or_file(document["platform"], folder), &scenario.inputs), sorted.platform));
  scenario.model = read_model(document["model"], folder, sorted.model, scenario);
  read_routing_origin(document, folder, scenario);
  scenario.peak = peak_of(scenario.model, *scenario.routing.open(), scenario.workload);
  if (scenario.peak.steps == 0)
    throw InputError(document.file(), document["workload"].line(), "workload: nothing to do",
                     "tokens to run");

  if (const auto strategies = document.find("strategies")) {
    std::set<std::string> names;
    for (const Yaml& node : strategies->items()) {
      node.allow_only({"name", "placement", "transfer", "miss", "engine", "cache", "host_cache", "prefetch"});
      try {
        scenario.strategies.push_back(read_strategy(node, document, folder, scenario));
      } catch (const CannotRun& error) {
        if (!refused) throw;
        refused->push_back({node["name"].text(), error.what()});
      }
      if (!names.insert(node["name"].text()).second) node["name"].fail("a name that no other strategy has");
    }
    if (names.empty()) strategies->fail("at least one strategy");
  } else {
    scenario.strategies.push_back(read_strategy(document, document, folder, scenario));
  }

  ExpertCounts popularity;
  for (Strategy& strategy : scenario.strategies) {
    EngineSettings& s = strategy.settings;
    if (!s.start->needs_popularity && !s.predictor->needs_popularity) continue;
    if (popularity.empty()) popularity = count_popularity(scenario);
    s.popularity = popularity;
  }
  return scenario;
}

}  // namespace specmoe
