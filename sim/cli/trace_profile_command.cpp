// specmoe trace fit, specmoe trace score: profiles of recorded routing.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "models/moe/routing/profile_fit.hpp"
#include "models/moe/routing/profile_generator.hpp"
#include "models/moe/routing/routing_subset.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/yaml.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/engine/routing_score.hpp"

namespace specmoe {
namespace {

struct FitRequest {
  std::string input, requests, notes;
  std::filesystem::path out;
  double holdout = 0.5;
  ProfileFit fit;
};

// "first:end", end not included.
std::vector<RoutingSubset::Part> parse_range(const std::string& text, const RoutingSource& source) {
  const auto fail = [&] {
    throw InputError("", 0, fmt::format("--requests {}", text),
                     fmt::format("first:end within 0:{}", source.requests()));
  };
  std::vector<RoutingSubset::Part> parts;
  try {
    std::size_t colon = 0, rest = 0;
    const std::int64_t first = std::stoll(text, &colon);
    if (text.at(colon) != ':') fail();
    const std::int64_t end = std::stoll(text.substr(colon + 1), &rest);
    if (colon + 1 + rest != text.size() || first < 0 || first >= end || end > source.requests()) fail();
    for (std::int64_t r = first; r < end; ++r) parts.push_back({r, true, 0, source.request(r).decode_rows});
  } catch (const std::logic_error&) {  // of stoll and at
    fail();
  }
  return parts;
}

RoutingProfile fit_trace(const FitRequest& request) {
  const auto trace = RoutingTrace::open(request.input);
  const auto parts = request.requests.empty() ? split(*trace, request.holdout, request.fit.seed).fit
                                              : parse_range(request.requests, *trace);
  RoutingSubset subset(*trace, parts);
  RoutingProfile profile = fit_profile(subset, request.fit);
  std::int64_t decoded = 0, prompt = 0;
  for (std::int64_t r = 0; r < subset.requests(); ++r) {
    decoded += subset.request(r).decode_rows;
    prompt += subset.request(r).prefill_rows;
    profile.fitted.push_back({parts[static_cast<std::size_t>(r)].request, subset.request(r).decode_rows});
  }
  profile.model = trace->header().model;
  profile.source = trace->header().source;
  profile.licence = trace->header().licence;
  profile.trace_requests = trace->requests();
  profile.trace_tokens = trace->tokens();
  profile.fitted_on = fmt::format("{} of {} requests: {} decoded and {} prompt tokens", subset.requests(),
                                  trace->requests(), decoded, prompt);
  if (prompt == 0) profile.notes = "prompts were not recorded: they are made like decoded tokens";
  if (subset.requests() == 1) {
    if (!profile.notes.empty()) profile.notes += "; ";
    profile.notes += fmt::format(
        "one recorded request: runs walk along its {} decoded tokens, again and again when they are longer, "
        "and "
        "requests of a batch are as alike as its own tokens",
        decoded);
  }
  return profile;
}

// {model, source, licence, fitted_on, experts, top_k, counts: [[..] or null for each MoE layer]}
RoutingProfile fit_counts(const FitRequest& request) {
  const Yaml document = Yaml::load(request.input);
  document.allow_only({"model", "source", "licence", "fitted_on", "experts", "top_k", "counts"});
  const auto experts = document["experts"].integer(1, 32'767);
  ExpertCounts counts;
  int missing = 0;
  for (const Yaml& layer : document["counts"].items()) {
    counts.emplace_back();
    for (const Yaml& count : layer.items()) counts.back().push_back(count.integer(0, 1'000'000'000'000));
    if (counts.back().empty()) {
      counts.back().assign(static_cast<std::size_t>(experts), 0);
      ++missing;
    }
    if (std::ssize(counts.back()) != experts) layer.fail(fmt::format("{} counts, or none: []", experts));
  }
  const auto top_k = static_cast<int>(document["top_k"].integer(1, experts));
  RoutingProfile profile = fit_marginals(counts, top_k, request.fit.seed);
  profile.model = document["model"].text();
  profile.source = document["source"].text();
  profile.licence = document["licence"].text();
  profile.fitted_on = document["fitted_on"].text();
  profile.notes = "popularity alone: tokens and layers are independent of each other";
  if (missing > 0)
    profile.notes += fmt::format(
        "; {} of {} layers have no counts and take those of the nearest layer that has, in a random order",
        missing, counts.size());
  return profile;
}

void fit(FitRequest request) {
  request.fit.progress = [](const std::string& text) { say(text + "\n"); };
  const bool counts = request.input.ends_with(".yaml") || request.input.ends_with(".json");
  RoutingProfile profile = counts ? fit_counts(request) : fit_trace(request);
  if (!request.notes.empty()) profile.notes += (profile.notes.empty() ? "" : "; ") + request.notes;
  profile.save(request.out);
  fmt::print("{}: {}, {} layers, {} experts, top {}, fitted on {}, {:.0f} kB\n", request.out.string(),
             profile.model.empty() ? "unknown model" : profile.model, profile.layers, profile.experts,
             profile.top_k, profile.fitted_on,
             static_cast<double>(std::filesystem::file_size(request.out)) * 1e-3);
}

// What a profile was not fitted on, in seeded random order.
std::vector<RoutingSubset::Part> held_out(const RoutingProfile& profile, const RoutingTrace& trace) {
  const bool same = profile.trace_requests == trace.requests() && profile.trace_tokens == trace.tokens() &&
                    !profile.fitted.empty();
  std::map<std::int64_t, std::int64_t> used;
  if (same)
    for (const auto& f : profile.fitted) used[f.request] = f.decode_rows;
  std::vector<RoutingSubset::Part> parts;
  for (const auto& part : split(trace, 0, 1).fit) {
    const auto at = used.find(part.request);
    const std::int64_t first = at == used.end() ? 0 : at->second;
    if (first < part.decode_rows)
      parts.push_back({part.request, at == used.end(), first, part.decode_rows - first});
  }
  if (parts.empty())
    throw InputError(trace.file(), 0, "the profile was fitted on all of it",
                     "a trace with something held out");
  fmt::print("{}: {} of {} requests{}\n\n", trace.file(), parts.size(), trace.requests(),
             same ? ", those and those tokens that the profile was not fitted on"
                  : "; not the trace that the profile was fitted on");
  return parts;
}

void score(const std::string& name, const std::string& file, MeasureOptions options, int runs,
           std::uint64_t seed) {
  const RoutingProfile profile = RoutingProfile::load(name);
  const auto trace = RoutingTrace::open(file);
  if (trace->layers() != profile.layers || trace->experts() != profile.experts ||
      trace->top_k() != profile.top_k)
    throw InputError(
        trace->file(), 0,
        fmt::format("{} layers of {} experts, top-{}", trace->layers(), trace->experts(), trace->top_k()),
        fmt::format("the profile's {} of {}, top-{}", profile.layers, profile.experts, profile.top_k));
  RoutingSubset real(*trace, held_out(profile, *trace));
  if (runs == 0) runs = real.requests() == 1 ? 20 : 1;
  const auto lines =
      score_routing(real, options, runs, [&](const std::vector<RequestInfo>& lengths, int run) {
        say(fmt::format("generated run {} of {}\n", run + 1, runs));
        ProfileOptions made;
        made.lengths = lengths;
        made.seed = seed + static_cast<std::uint64_t>(run);
        return std::make_unique<ProfileGenerator>(profile, made);
      });
  fmt::print("{:<38}{:>9}{:>11}{:>9}{:>9}{:>9}\n", "", "recorded", "generated", "+-", "error", "target");
  int held = 0, targets = 0;
  for (const ScoreLine& line : lines) {
    const bool experts =
        line.kind == RoutingMeasure::Kind::unique || line.kind == RoutingMeasure::Kind::window;
    const double scale = experts ? 1 : 100;
    std::string verdict =
        line.target == 0 ? "" : fmt::format("{:.0f}{}", 100 * line.target, experts ? " %" : "");
    if (line.target > 0) {
      verdict += line.holds() ? "  holds" : "  MISSED";
      held += line.holds();
      ++targets;
    }
    fmt::print("{:<38}{:>9.2f}{:>11.2f}{:>9.2f}{:>+9.2f}   {}\n", line.name, scale * line.real,
               scale * line.generated, scale * line.spread, 100 * line.error(), verdict);
  }
  fmt::print(
      "\n{} of {} targets hold. Hits, overlap and recall in %, their errors in points; distinct experts a "
      "layer, "
      "their errors in %.\n+-: standard deviation of one generated run of the recording's size ({} run{}).\n",
      held, targets, runs, runs == 1 ? "" : "s");
}

}  // namespace

void add_trace_fit(CLI::App& app) {
  auto request = std::make_shared<FitRequest>();
  CLI::App* command =
      app.add_subcommand("fit", "Learn a profile, from which any number of tokens can be made");
  command->add_option("trace", request->input, "Trace file, or a .yaml of counts where there is no more")
      ->required();
  command->add_option("--out", request->out, "Profile to write (.h5)")->required();
  auto* requests =
      command->add_option("--requests", request->requests, "Only requests first:end (end not included)");
  command
      ->add_option("--holdout", request->holdout,
                   "Share of the requests (of a single one: of its decoded tokens) that is left for scoring")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str()
      ->excludes(requests);
  command->add_option("--seed", request->fit.seed, "Seed of the split and of the fit")->capture_default_str();
  command
      ->add_option("--latents", request->fit.latents,
                   "Dimensions of a request's path (by default 48, or 32 of little)")
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--segment", request->fit.segment_tokens,
                   "Tokens to a step of a path (by default 64, or 1 of little)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--notes", request->notes, "What else a user should know");
  command->callback([request] { fit(*request); });
}

void add_trace_score(CLI::App& app) {
  struct Arguments {
    std::string profile, trace;
    MeasureOptions options;
    int runs = 0;
    std::uint64_t seed = 1;
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("score", "Compare what a profile makes with what it was not fitted on of a trace");
  command->add_option("profile", a->profile, "A shipped profile's name, or a file")->required();
  command->add_option("trace", a->trace, "Trace file")->required();
  command
      ->add_option("--tokens", a->options.tokens, "Measure the first requests up to so many decoded tokens")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}))
      ->capture_default_str();
  command->add_option("--runs", a->runs, "Generated runs to average (by default 1, of a single request 20)")
      ->check(CLI::Range(1, 10'000));
  command->add_option("--seed", a->seed, "Seed of the generated runs")->capture_default_str();
  command->callback([a] { score(a->profile, a->trace, a->options, a->runs, a->seed); });
}

}  // namespace specmoe
