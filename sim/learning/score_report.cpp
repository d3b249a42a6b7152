// Scores as text.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "sim/learning/score.hpp"

namespace specmoe {
namespace {

using enum Metric::Kind;

const Score* score_named(std::span<const ScoredGuesser> guessers, const std::string& name) {
  const auto found = std::find_if(guessers.begin(), guessers.end(),
                                  [&](const auto& guesser) { return guesser.name == name; });
  return found == guessers.end() ? nullptr : &found->score;
}

std::string percent(double share) { return std::isnan(share) ? "-" : fmt::format("{:.1f}", 100 * share); }
std::string percent(const Estimate& e) {
  return std::isnan(e.value)
             ? "-"
             : fmt::format("{:.1f} [{:.1f}, {:.1f}]", 100 * e.value, 100 * e.low, 100 * e.high);
}
std::string times(const Score& score, const Score* base, const Where& where) {
  if (!base) return "-";
  const Estimate e = ratio(score, *base, {recall}, where);
  return std::isnan(e.value) ? "-" : fmt::format("{:.2f} [{:.2f}, {:.2f}]", e.value, e.low, e.high);
}

// Empty where there is no number.
std::string number(double value) { return std::isnan(value) ? "" : fmt::format("{:.6g}", value); }

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out(1, '"');
  for (const char c : text) {
    if (c == '"') out.push_back(c);
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

}  // namespace

std::string score_table(std::span<const ScoredGuesser> guessers) {
  if (guessers.empty()) return "";
  const int k = guessers[0].score.top_k();
  std::size_t width = 19;
  for (const auto& guesser : guessers) width = std::max(width, guesser.name.size());
  const Score *popularity = score_named(guessers, "popularity"),
              *transition = score_named(guessers, "transition");
  std::string out;
  const auto add = [&]<class... Cells>(const Cells&... cells) {
    constexpr std::size_t widths[] = {6, 19, 18, 18, 7, 7, 7, 5};
    const std::string text[] = {cells...};
    std::string line = fmt::format("{:<{}}", text[0], width);
    for (std::size_t i = 1; i < std::size(text); ++i) line += fmt::format("  {:>{}}", text[i], widths[i - 1]);
    out += line + '\n';
  };
  for (const bool next_token : {false, true})
    for (int distance = 1; distance <= kDistances; ++distance) {
      const Where where{distance, next_token, -1};
      if (guessers[0].score.rows(where) == 0) continue;
      add(fmt::format("{} ahead{}", distance, next_token ? ", next token" : ""), std::string("top-1"),
          fmt::format("recall@{}", k), std::string("over popularity"), std::string("over transition"),
          fmt::format("all@{}", k), fmt::format("all@{}", 2 * k), fmt::format("all@{}", 3 * k),
          std::string(next_token ? "" : "ECE"));
      for (const auto& [name, score, probabilities] : guessers)
        add(name, percent(score.value({top1}, where)), percent(score.estimate({recall}, where)),
            times(score, popularity, where), times(score, transition, where),
            percent(score.value({coverage, k}, where)), percent(score.value({coverage, 2 * k}, where)),
            percent(score.value({coverage, 3 * k}, where)),
            std::string(next_token      ? ""
                        : probabilities ? percent(score.calibration_error(distance))
                                        : "-"));
      out += '\n';
    }
  return out;
}

std::string score_csv(std::span<const ScoredGuesser> guessers) {
  if (guessers.empty()) return "";
  const Score& first = guessers[0].score;
  const Score *popularity = score_named(guessers, "popularity"),
              *transition = score_named(guessers, "transition");
  std::string out = "guesser,distance,target_token,target_layer,rows,top_1,recall_low,recall_high";
  for (const int budget : first.recall_budgets()) out += fmt::format(",recall_at_{}", budget);
  for (const int budget : first.coverage_budgets()) out += fmt::format(",all_at_{}", budget);
  for (const char* base : {"popularity", "transition"})
    out += fmt::format(",over_{0},over_{0}_low,over_{0}_high,minus_{0},minus_{0}_low,minus_{0}_high", base);
  out += ",calibration_error\n";
  // Names of their own, since clang 14 captures no structured bindings.
  for (const ScoredGuesser& guesser : guessers)
    for (int distance = 1; distance <= kDistances; ++distance) {
      const std::string& name = guesser.name;
      const Score& score = guesser.score;
      const auto line = [&](const Where& where, const std::string& layer) {
        if (score.rows(where) == 0) return;
        const Estimate recalled = score.estimate({recall}, where);
        out += fmt::format("{},{},{},{},{},{},{},{}", csv_text(name), distance,
                           where.next_token ? "next" : "same", layer, score.rows(where),
                           number(score.value({top1}, where)), number(recalled.low), number(recalled.high));
        for (const int budget : first.recall_budgets())
          out += fmt::format(",{}", number(score.value({recall, budget}, where)));
        for (const int budget : first.coverage_budgets())
          out += fmt::format(",{}", number(score.value({coverage, budget}, where)));
        for (const Score* base : {popularity, transition}) {
          if (!base || where.layer >= 0) {
            out += ",,,,,,";
            continue;
          }
          const Estimate times = ratio(score, *base, {recall}, where),
                         minus = difference(score, *base, {recall}, where);
          for (const double value : {times.value, times.low, times.high, minus.value, minus.low, minus.high})
            out += fmt::format(",{}", number(value));
        }
        const bool calibrated = guesser.gives_probabilities && where.layer < 0 && !where.next_token;
        out += fmt::format(",{}\n", calibrated ? number(score.calibration_error(distance)) : "");
      };
      line({distance, false, -1}, "all");
      line({distance, true, -1}, "all");
      for (int layer = 0; layer < score.layers(); ++layer)
        line({distance, layer < distance, layer}, fmt::format("{}", layer));
    }
  return out;
}

std::string reliability_table(std::span<const ScoredGuesser> guessers, int distance) {
  std::string out;
  for (const auto& [name, score, probabilities] : guessers) {
    if (!probabilities) continue;
    out += fmt::format("{}, {} ahead: calibration error {} %\n  confidence    guesses   mean %  right %\n",
                       name, distance, percent(score.calibration_error(distance)));
    const auto bins = score.reliability(distance);
    for (std::size_t i = 0; i < bins.size(); ++i) {
      if (bins[i].guesses == 0) continue;
      const auto guesses = static_cast<double>(bins[i].guesses);
      out += fmt::format("  {:.1f} to {:.1f}  {:>9}  {:>7}  {:>7}\n", 0.1 * static_cast<double>(i),
                         0.1 * static_cast<double>(i + 1), bins[i].guesses,
                         percent(bins[i].confidence / guesses),
                         percent(static_cast<double>(bins[i].right) / guesses));
    }
  }
  return out;
}

}  // namespace specmoe
