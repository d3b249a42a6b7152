#include "sim/report/compare_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "sim/base/csv.hpp"

namespace specmoe {

namespace {

std::string with_interval(const Estimate& i, double scale, int digits) {
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", i.value * scale, digits, i.low * scale, digits,
                     i.high * scale, digits);
}

// Of a block: all experts resident is a frame of another size than the others.
std::string heading(std::span<const ComparedRow> rest) {
  const int block = rest.front().block;
  const auto own = std::find_if(rest.begin(), rest.end(),
                                [&](const ComparedRow& r) { return r.block == block && !r.frame; });
  const ComparedRow& row = own == rest.end() ? rest.front() : *own;
  return fmt::format(
      "\n{}{}\n{:<38}{:>22}{:>20}{:>22}{:>22}\n", row.platform,
      std::isnan(row.share) ? "" : fmt::format(", cache of {:.0f} % of the experts", row.share * 100),
      "strategy", "decode tok/s", "of LRU's", "hit %", "MB/token");
}

}  // namespace

std::string compare_table(const std::vector<ComparedRow>& rows) {
  std::string text;
  int block = -1;
  for (const ComparedRow& row : rows) {
    if (row.block != block)
      text += heading(std::span(rows).subspan(static_cast<std::size_t>(&row - rows.data())));
    block = row.block;
    if (row.refused.empty())
      text += fmt::format("{:<38}{:>22}{:>20}{:>22}{:>22}\n", row.strategy,
                          with_interval(row.tokens_per_second, 1, 1), with_interval(row.gain, 1, 2),
                          with_interval(row.hit_rate, 100, 1), with_interval(row.bytes_per_token, 1e-6, 0));
    else
      text += fmt::format("{:<38}-  {}\n", row.strategy, row.refused);
  }
  text +=
      "\n[low, high]: 95 % interval of a bootstrap over batches of requests, paired for the comparison "
      "with plain\n"
      "LRU of the same bytes. hit: of expert accesses in decode, found in GPU memory or on the way. "
      "MB/token: expert\n"
      "bytes copied into GPU memory a decoded token.\n";
  if (std::any_of(rows.begin(), rows.end(), [](const ComparedRow& row) {
        return row.refused.empty() && row.tokens_per_second.degenerate;
      }))
    text += "note: of a single batch, or of equal ones, an interval is its value and says nothing\n";
  return text;
}

std::string compare_csv(const std::vector<ComparedRow>& rows) {
  std::string text = "platform,cache_share,cache_bytes,strategy,frame,refused";
  for (const char* name : {"tokens_per_second", "of_lru", "hit_rate", "bytes_per_token"})
    text += fmt::format(",{0},{0}_low,{0}_high", name);
  text += "\n";
  for (const ComparedRow& row : rows) {
    text += fmt::format(
        "{},{},{},{},{},{}", row.platform, std::isnan(row.share) ? "" : fmt::format("{:.4g}", row.share),
        row.refused.empty() ? std::to_string(row.capacity.count) : "", csv_field(row.strategy),
        row.frame ? 1 : 0, row.refused.empty() ? "" : csv_field(row.refused));
    for (const Estimate* i : {&row.tokens_per_second, &row.gain, &row.hit_rate, &row.bytes_per_token})
      for (const double x : {i->value, i->low, i->high})
        text += row.refused.empty() && std::isfinite(x) ? fmt::format(",{:.6g}", x) : ",";
    text += "\n";
  }
  return text;
}

}  // namespace specmoe
