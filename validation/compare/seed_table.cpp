#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "sim/base/csv.hpp"
#include "sim/base/input_error.hpp"
#include "validation/compare/seed_set.hpp"
#include "validation/compare/wrapped.hpp"

namespace specmoe {

namespace {

std::string text(SeedMetric metric, double value) {
  return metric == SeedMetric::speedup ? fmt::format("{:.2f}x", value) : fmt::format("{:.1f} %", 100 * value);
}
std::string text(SeedMetric metric, const SeedNumber& number) {
  return number.value ? text(metric, *number.value) : "-";
}

std::string rows_table(const SeedSet& set) {
  std::string out = fmt::format("{:<46}{:>10}{:>10}{:>12}{:>12}\n", "headline", "claimed", "its rules",
                                "its memory", "equal");
  out += std::string(90, '-') + "\n";
  for (const SeedRow& row : set.rows) {
    out += fmt::format("{:<46}{:>10}{:>10}{:>12}{:>12}\n", row.name, row.claim, text(row.metric, row.rule),
                       text(row.metric, row.own), text(row.metric, row.equal));
    out += wrapped(row.note, 4, 108);
    for (const auto& [what, number] :
         {std::pair{"its rules", &row.rule}, {"its memory", &row.own}, {"equal", &row.equal}})
      if (!number->value) out += wrapped(fmt::format("{}: {}", what, number->reason), 4, 108);
  }
  return out;
}

std::string entry(const SeedCell::Entry& e) {
  return fmt::format("{:>11.1f}{:>7.1f}{:>7.2f}", e.milliseconds, 100 * e.hits, e.speedup);
}

std::string cells_table(const SeedSet& set) {
  std::string out, table;
  std::vector<std::string> reasons;
  for (const SeedCell& cell : set.cells) {
    if (cell.table != table) {
      table = cell.table;
      out += fmt::format("\n{:<24}{:>5}{:>25}{:>25}{:>25}\n", table, "batch", "claimed", "its rules",
                         "equal memory");
      out += fmt::format("{:<29}", "");
      for (int i = 0; i < 3; ++i) out += fmt::format("{:>11}{:>7}{:>7}", "ms", "hit %", "x A");
      out += "\n" + std::string(104, '-') + "\n";
    }
    out += fmt::format("{:<24}{:>5}{}{}{}\n", cell.strategy, cell.batch, entry(cell.claimed),
                       cell.rule ? entry(*cell.rule) : fmt::format("{:>25}", "-"), entry(cell.equal));
    const std::string reason = cell.table + ", its rules: " + cell.reason;
    if (!cell.reason.empty() && std::find(reasons.begin(), reasons.end(), reason) == reasons.end())
      reasons.push_back(reason);
  }
  out += "\n";
  for (const std::string& reason : reasons) out += reason + "\n";
  return out;
}

}  // namespace

std::string seed_table(const SeedSet& set) {
  std::string out = rows_table(set);
  out += wrapped(
      "\nits rules: the seed's, imitated, or recomputed from its tables. its memory: run as a scenario, "
      "every transfer "
      "on the link, layers one after another, with what the seed gave each side. equal: the same bytes and "
      "the same "
      "deduplication for both. Hits of runs: found in time.",
      0, 112);
  out += fmt::format("\n{:<62}{:>9}{:>8}\n{}\n", "what becomes of 13.07x", "speedup", "hit %",
                     std::string(79, '-'));
  for (const SeedStep& step : set.steps)
    out += fmt::format("{:<62}{:>8.2f}x{:>8.1f}\n", step.change, step.speedup, 100 * step.hits);
  return out + cells_table(set);
}

std::vector<std::string> seed_breaches(const SeedSet& set) {
  std::vector<std::string> all;
  for (const SeedRow& row : set.rows)
    if (row.rule.value && !(std::abs(*row.rule.value / row.claimed - 1) <= row.within))
      all.push_back(fmt::format("{}: {}: its rules give {}; expected {} within {:g} %", row.where, row.name,
                                text(row.metric, row.rule), row.claim, 100 * row.within));
  return all;
}

void write_seed_csv(const SeedSet& set, const std::filesystem::path& file) {
  std::ofstream out(file, std::ios::binary);
  const auto line = [&](const std::string& part, const std::string& name, const std::string& quantity,
                        const std::string& claimed, const std::string& rule, const std::string& own,
                        const std::string& equal, const std::string& note) {
    out << fmt::format("{},{},{},{},{},{},{},{}\n", part, csv_field(name), quantity, claimed, rule, own,
                       equal, csv_field(note));
  };
  const auto number = [](const SeedNumber& n) {
    return n.value ? fmt::format("{}", *n.value) : std::string();
  };
  const auto plain = [](double value) { return fmt::format("{}", value); };
  out << "part,name,quantity,claimed,its_rules,its_memory,equal_memory,note\n";
  for (const SeedRow& row : set.rows) {
    const char* quantity = row.metric == SeedMetric::speedup ? "speedup"
                           : row.metric == SeedMetric::hits  ? "hits"
                                                             : "shared";
    std::string note = row.source + ". " + row.note;
    for (const auto& [what, each] :
         {std::pair{"its rules", &row.rule}, {"its memory", &row.own}, {"equal", &row.equal}})
      if (!each->value) note += fmt::format(" {}: {}.", what, each->reason);
    line("headline", row.name, quantity, plain(row.claimed), number(row.rule), number(row.own),
         number(row.equal), note);
  }
  for (const SeedStep& step : set.steps)
    line("step", step.change, "speedup", "", "", "", plain(step.speedup), "");
  for (const SeedCell& cell : set.cells) {
    const std::string name = fmt::format("{} {}, batch {}", cell.table, cell.strategy, cell.batch);
    for (const auto& [quantity, member] : {std::pair{"ms", &SeedCell::Entry::milliseconds},
                                           {"hits", &SeedCell::Entry::hits},
                                           {"speedup", &SeedCell::Entry::speedup}})
      line("table", name, quantity, plain(cell.claimed.*member), cell.rule ? plain((*cell.rule).*member) : "",
           "", plain(cell.equal.*member), cell.reason);
  }
  if (!out.flush()) throw InputError(file.string(), 0, "cannot be written", "a file in a folder that can");
}

}  // namespace specmoe
