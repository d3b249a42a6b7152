#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "models/moe/routing/trace_statistics.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/yaml.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/engine/replay.hpp"

namespace specmoe {
namespace {

// A line on a terminal's stderr that counts tokens; nothing where stderr is no terminal.
std::function<void(std::int64_t)> counter(const char* verb) {
  if (!isatty(STDERR_FILENO)) return [](std::int64_t) {};
  return [verb](std::int64_t tokens) {
    if (tokens % (1 << 14) == 0) say(fmt::format("\r{} {} tokens\033[K\r", verb, tokens));
  };
}

void import_and_tell(TraceImport import, const std::string& format) {
  import.progress = counter("importing: ");
  import_trace(import, format);
  const auto trace = RoutingTrace::open(import.out);
  fmt::print("{}: {} requests, {} tokens, {} layers, {} experts, top {}\n", trace->file(), trace->requests(),
             trace->tokens(), trace->layers(), trace->experts(), trace->top_k());
}

std::string or_unknown(const std::string& text) { return text.empty() ? "unknown" : text; }

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

void print_statistics(const TraceStatistics& s, int experts, int top_k) {
  fmt::print("\nrequests         {}\n", s.requests);
  fmt::print("prompt tokens    {} ({} recorded)\n", s.prompt_tokens, s.prefill_rows);
  fmt::print("decoded tokens   {}\n", s.decode_rows);
  fmt::print(
      "overlap          {:.3f} of {} experts shared with the decoded token before (by chance {:.3f})\n",
      s.decode_overlap, top_k, static_cast<double>(top_k) * top_k / experts);

  fmt::print("\ntokens together  distinct experts a layer  uniform\n");
  for (const auto& [tokens, unique] : s.unique_experts)
    fmt::print("{:15}  {:24.2f}  {:7.2f}\n", tokens, unique, uniform_unique_experts(experts, top_k, tokens));

  fmt::print("\nlayer  entropy (of {:.2f} bits)  share of the 10 most used\n", std::log2(experts));
  for (std::size_t layer = 0; layer < s.entropy_bits.size(); ++layer)
    fmt::print("{:5}  {:22.2f}  {:24.1f}%\n", layer, s.entropy_bits[layer], 100 * s.top10_share[layer]);
  fmt::print(" mean  {:22.2f}  {:24.1f}%\n", mean(s.entropy_bits), 100 * mean(s.top10_share));
}

void print_info(const std::string& file) {
  const auto trace = RoutingTrace::open(file);
  const TraceHeader& header = trace->header();
  fmt::print("{}\n", trace->file());
  fmt::print("model            {}\n", or_unknown(header.model));
  fmt::print("shape            {} tokens, {} layers, {} experts, top {}\n", trace->tokens(), header.layers,
             header.experts, header.top_k);
  fmt::print("holds            experts{}{}{}{}\n", header.has_weights ? ", gate weights" : "",
             header.has_token_ids ? ", token ids" : "", header.has_labels ? ", labels" : "",
             header.expert_bytes.empty() ? "" : ", expert bytes");
  fmt::print("recorder         {}\n", or_unknown(header.recorder));
  fmt::print("source           {}\n", or_unknown(header.source));
  fmt::print("licence          {}\n", or_unknown(header.licence));
  print_statistics(statistics(*trace, counter("reading: ")), header.experts, header.top_k);
}

void add_import(CLI::App& app) {
  auto import = std::make_shared<TraceImport>();
  auto format = std::make_shared<std::string>();
  std::string formats;
  for (const TraceFormat& known : trace_formats())
    formats += fmt::format("\n  {}: {}", known.name, known.summary);
  CLI::App* command = app.add_subcommand("import", "Convert a routing recording to a trace file");
  command->footer("Formats:" + formats);
  command->add_option("input", import->inputs, "Files, or the directory, to import")->required();
  command->add_option("--out", import->out, "Trace file to write")->required();
  command->add_option("--format", *format, "Guessed from the inputs' names if left out");
  command->add_option("--experts", import->experts, "Routed experts a layer, where the input does not say")
      ->check(CLI::Range(1, 32767));
  command
      ->add_option(
          "--prompt-tokens", import->prompt_tokens,
          "npy: rows that are prompt positions, for all files or one number a file; the others are decoded")
      ->delimiter(',')
      ->check(CLI::NonNegativeNumber);
  command->add_option("--model", import->model, "Name of the model");
  command->add_option("--source", import->source, "Where the recording comes from");
  command->add_option("--licence", import->licence, "Its licence");
  command->callback([import, format] { import_and_tell(*import, *format); });
}

void add_info(CLI::App& app) {
  auto file = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("info", "What a trace holds, and what its routing looks like");
  command->add_option("trace", *file, "Trace file")->required();
  command->callback([file] { print_info(*file); });
}

struct ReplayRequest {
  std::string file, eviction = "lru", capacity;
  std::int64_t slots = 0, requests = 0;
  bool per_layer = false, one_by_one = false;
  std::uint64_t seed = 0;
};

// A name, or as in a scenario "{policy: mrs, alpha: 0.3}".
void read_policy(const std::string& text, Replay& options) {
  const Yaml node = Yaml::parse(text, "--eviction");
  const std::string name = node.is_map() ? node["policy"].text() : node.text();
  std::string names;
  for (const EvictionKind& kind : eviction_kinds()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", kind.name);
    if (kind.name != name) continue;
    options.eviction = &kind;
    if (node.is_map()) options.parameters = ParameterValues::read(node, "policy", kind.parameters(), {});
    return;
  }
  throw InputError("", 0, fmt::format("--eviction {}", name), "one of " + names);
}

void run_replay(const ReplayRequest& request) {
  const auto trace = RoutingTrace::open(request.file);
  const TraceHeader& header = trace->header();
  Replay options;
  read_policy(request.eviction, options);
  options.lookup = request.one_by_one ? Lookup::access : Lookup::layer;
  options.seed = request.seed;
  if (request.requests > 0) options.requests = request.requests;
  options.cache = {header.layers, header.experts,
                   std::vector<Bytes>(static_cast<std::size_t>(header.layers), Bytes{1}),
                   Bytes{request.slots}, request.per_layer ? CacheScope::layer : CacheScope::global};
  if (request.per_layer) options.cache.capacity = request.slots * Bytes{header.layers};
  if (!request.capacity.empty()) {
    if (header.expert_bytes.empty())
      throw InputError(trace->file(), 0, "does not say how many bytes an expert has", "--slots");
    options.cache.capacity = Yaml::parse(request.capacity, "--capacity").bytes();
    std::transform(header.expert_bytes.begin(), header.expert_bytes.end(), options.cache.expert_bytes.begin(),
                   [](std::int64_t count) { return Bytes{count}; });
  }
  const ReplayResult result = replay(*trace, options);
  const auto print = [](const char* phase, std::int64_t hits, std::int64_t accesses) {
    if (accesses == 0) return;
    fmt::print("{}: {} hits of {} accesses, {:.2f}%\n", phase, hits, accesses,
               100 * static_cast<double>(hits) / static_cast<double>(accesses));
  };
  print("prefill", result.prefill_hits, result.prefill_accesses);
  print("decode", result.decode_hits, result.decode_accesses);
}

void add_replay(CLI::App& app) {
  auto request = std::make_shared<ReplayRequest>();
  CLI::App* command = app.add_subcommand("replay", "Hit rate of a cache on a trace, without time");
  command->add_option("trace", request->file, "Trace file")->required();
  command
      ->add_option("--eviction", request->eviction,
                   "Eviction policy, or with parameters \"{policy: mrs, alpha: 0.3}\"")
      ->capture_default_str();
  auto* slots = command
                    ->add_option("--slots", request->slots,
                                 "Experts that the cache holds, with --per-layer of each layer")
                    ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  command->add_option("--capacity", request->capacity, "Bytes that the cache holds in all, e.g. \"4000 MiB\"")
      ->excludes(slots);
  command->add_flag("--per-layer", request->per_layer, "A pool for each layer instead of one for all");
  command->add_flag("--one-by-one", request->one_by_one,
                    "Look up and load one expert after the other instead of a whole layer");
  command->add_option("--requests", request->requests, "Only the first so many requests")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  command->add_option("--seed", request->seed, "Seed of random eviction");
  command->callback([request] {
    if (request->slots == 0 && request->capacity.empty())
      throw InputError("", 0, "no size of the cache", "--slots or --capacity");
    run_replay(*request);
  });
}

}  // namespace

void add_trace_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("trace", "Routing traces: import, look at, replay; profiles of them");
  command->require_subcommand(1);
  add_import(*command);
  add_info(*command);
  add_replay(*command);
  add_trace_fit(*command);
  add_trace_score(*command);
}

}  // namespace specmoe
