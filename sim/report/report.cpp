#include "sim/report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/base/csv.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

ResultsOverview ResultsOverview::read(const std::filesystem::path& results) {
  const H5File file = H5File::open(results);
  if (!file.has("/", "format") || file.get_string("/", "format") != "specmoe-results")
    throw InputError(results.string(), 0, "is no results file", "results.h5 of specmoe run");
  ResultsOverview all{file.get_string("/", "scenario"), file.get_string("/", "description"),
                      file.get_string("/", "platform"), file.get_string("/", "model"),
                      file.get_string("/", "routing"),  file.get_string("/", "specmoe"),
                      file.get_integer("/", "seed"),    file.read_strings("/notes"),
                      file.read_strings("/unverified"), {}};
  auto names = file.list("/runs");
  std::sort(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return file.get_integer("/runs/" + a, "position") < file.get_integer("/runs/" + b, "position");
  });
  for (const std::string& name : names) all.runs.emplace_back(name, read_summary(file, "/runs/" + name));
  return all;
}

// "-" where there was nothing to measure.
static std::string shown(double value, double scale, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value * scale, digits) : "-";
}

// Columns of what few strategies do: shown where one does, with what they mean.
static void add_rare_columns(const ResultsOverview& overview, std::vector<std::vector<std::string>>& rows,
                             std::string& legend) {
  const auto percent = [](std::int64_t part, std::int64_t whole) {
    return shown(static_cast<double>(part) / static_cast<double>(whole), 100, 1);
  };
  const auto add = [&](const char* name, const char* unit, const char* meaning, auto&& used, auto&& cell) {
    const auto& runs = overview.runs;
    if (std::none_of(runs.begin(), runs.end(), [&](const auto& run) { return used(run.second) > 0; })) return;
    rows[0].push_back(name);
    rows[1].push_back(unit);
    for (std::size_t i = 0; i < runs.size(); ++i) rows[i + 2].push_back(cell(runs[i].second));
    legend += fmt::format("{}: {}\n", name, meaning);
  };
  using S = RunSummary;
  add(
      "on CPU", "%", "expert accesses that the CPU computed.", [](const S& s) { return s.counters.on_cpu; },
      [&](const S& s) { return percent(s.counters.on_cpu, s.counters.accesses); });
  add(
      "low", "%", "(token, expert) pairs computed with a low-precision copy, which costs quality.",
      [](const S& s) { return s.counters.low_pairs; },
      [&](const S& s) { return percent(s.counters.low_pairs, s.counters.routed); });
  add(
      "skipped", "%", "(token, expert) pairs that were not computed, which costs quality.",
      [](const S& s) { return s.counters.skipped_pairs; },
      [&](const S& s) { return percent(s.counters.skipped_pairs, s.counters.routed); });
  add(
      "dropped", "%", "of requested prefetches, still queued when their layer did without them.",
      [](const S& s) { return s.counters.dropped; },
      [&](const S& s) { return percent(s.counters.dropped, s.counters.requested); });
  add(
      "predictor", "ms (%)", "kernels of the predictor's network a decode step, and as a share of it.",
      [](const S& s) { return s.predictor_time; },
      [&](const S& s) {
        return fmt::format("{} ({}%)", shown(s.predictor_time, 1e3, 3), shown(s.predictor_share, 100, 1));
      });
  add(
      "energy", "J/token",
      "what a decoded token takes, idle devices included; not cooling, power supply and board.",
      [](const S& s) { return s.energy_per_token; },
      [](const S& s) { return shown(s.energy_per_token, 1, 2); });
  add(
      "host hit", "%", "of the loads and CPU uses of experts on disk, found in the host's cache.",
      [](const S& s) { return s.counters.host_hits + s.counters.host_misses; },
      [&](const S& s) {
        return percent(s.counters.host_hits, s.counters.host_hits + s.counters.host_misses);
      });
  add(
      "disk", "GB", "expert bytes read from the disk into the host's cache.",
      [](const S& s) { return s.counters.disk_bytes.count; },
      [&](const S& s) { return shown(static_cast<double>(s.counters.disk_bytes.count), 1e-9, 1); });
}

std::string console_table(const ResultsOverview& overview) {
  std::vector<std::vector<std::string>> rows{
      {"strategy", "TPOT", "TTFT", "decode", "hit", "late", "exposed stall", "of it for", "moved",
       "peak GPU"},
      {"", "ms", "s", "tok/s", "%", "%", "ms/step", "experts ms", "GB", "GB"}};
  for (const auto& [name, s] : overview.runs) {
    const double step = s.exposed_stall + s.critical_path;
    rows.push_back(
        {name, shown(s.tpot, 1e3, 2), shown(s.ttft, 1, 3), shown(s.tokens_per_second, 1, 1),
         shown(s.hit_rate, 100, 1), shown(s.late_rate, 100, 1),
         fmt::format("{} ({}%)", shown(s.exposed_stall, 1e3, 2), shown(s.exposed_stall / step, 100, 0)),
         shown(s.expert_wait, 1e3, 2),
         shown(static_cast<double>((s.counters.demand_bytes + s.counters.prefetch_bytes).count), 1e-9, 1),
         shown(static_cast<double>(s.peak_gpu_memory.count), 1e-9, 2)});
  }
  std::string legend;
  add_rare_columns(overview, rows, legend);
  std::vector<std::size_t> width(rows[0].size(), 0);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  std::string out = fmt::format("{}: {} on {}\n", overview.scenario, overview.model, overview.platform);
  if (!overview.description.empty()) out += overview.description + "\n";
  out += fmt::format("routing: {}\n\n", overview.routing);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < rows[r].size(); ++i)
      out += i == 0 ? fmt::format("{:<{}}", rows[r][i], width[i])
                    : fmt::format("  {:>{}}", rows[r][i], width[i]);
    out += '\n';
    if (r == 1) {
      std::size_t line = 0;
      for (const std::size_t w : width) line += w;
      out += std::string(line + 2 * (width.size() - 1), '-') + '\n';
    }
  }
  out +=
      "\nTPOT: mean time of a decoded token. TTFT: mean time to a request's first token. hit: of expert "
      "accesses in\n"
      "decode, found in GPU memory or on the way; late: still on the way when needed. exposed stall: step "
      "beyond its\n"
      "critical path (every expert resident, no host, no predictor). moved: expert bytes copied into GPU "
      "memory,\n"
      "prefill included.\n" +
      legend;
  for (const std::string& note : overview.notes) out += "note: " + note + "\n";
  if (!overview.unverified.empty())
    out += fmt::format("note: {} numbers of the platform are not verified (specmoe list platforms {})\n",
                       overview.unverified.size(), overview.platform);
  return out;
}

namespace {
struct ToJson {
  nlohmann::ordered_json& json;
  void operator()(const char* name, double v) const {
    json[name] = std::isfinite(v) ? nlohmann::ordered_json(v) : nlohmann::ordered_json(nullptr);
  }
  void operator()(const char* name, std::int64_t v) const { json[name] = v; }
  void operator()(const char* name, Bytes v) const { json[name] = v.count; }
};
struct ToCsv {
  std::string& names;
  std::string& values;
  void operator()(const char* name, double v) const {
    add(name, std::isfinite(v) ? fmt::format("{}", v) : "");
  }
  void operator()(const char* name, std::int64_t v) const { add(name, fmt::format("{}", v)); }
  void operator()(const char* name, Bytes v) const { add(name, fmt::format("{}", v.count)); }
  void add(const char* name, const std::string& value) const {
    names += fmt::format(",{}", name);
    values += "," + value;
  }
};
}  // namespace

std::string as_json(const ResultsOverview& overview) {
  nlohmann::ordered_json json{{"scenario", overview.scenario},    {"description", overview.description},
                              {"platform", overview.platform},    {"model", overview.model},
                              {"routing", overview.routing},      {"seed", overview.seed},
                              {"specmoe", overview.specmoe},      {"notes", overview.notes},
                              {"unverified", overview.unverified}};
  for (const auto& [name, summary] : overview.runs) {
    nlohmann::ordered_json run{{"strategy", name}};
    for_each_field(summary, ToJson{run});
    json["runs"].push_back(run);
  }
  return json.dump(2) + "\n";
}

std::string as_csv(const ResultsOverview& overview) {
  std::string head, body;
  for (const auto& [name, summary] : overview.runs) {
    std::string names, values;
    for_each_field(summary, ToCsv{names, values});
    head = "strategy" + names + "\n";
    body += csv_field(name) + values + "\n";
  }
  return head + body;
}

}  // namespace specmoe
