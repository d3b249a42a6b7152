// Where a decode step's time goes, strategy by strategy, as an SVG of stacked bars.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/report/report.hpp"

namespace specmoe {

namespace {

constexpr int kLabelWidth = 190, kBarWidth = 560, kRow = 34, kTop = 74,
              kWidth = kLabelWidth + kBarWidth + 150;

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : c == '>' ? "&gt;" : std::string(1, c);
  return out;
}

std::string text(double x, double y, const std::string& anchor, const std::string& what, int size = 13) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="{}">{}</text>)", x, y, anchor,
                     size, escaped(what)) +
         "\n";
}

std::string box(double x, double y, double width, double height, const char* colour) {
  return fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>)", x, y,
                     std::max(0.0, width), height, colour) +
         "\n";
}

// 1, 2 or 5 times a power of ten: at most eight ticks.
double tick_of(double longest) {
  const double power = std::pow(10, std::floor(std::log10(longest / 8)));
  for (const double step : {1.0, 2.0, 5.0, 10.0})
    if (longest / (step * power) <= 8) return step * power;
  return 10 * power;
}

}  // namespace

std::string as_svg(const ResultsOverview& overview) {
  struct Part {
    const char* name;
    const char* colour;  // distinguishable with colour blindness (Okabe and Ito)
  };
  constexpr std::array<Part, 3> parts{
      {{"critical path: every expert resident", "#0072b2"},
       {"waiting for experts", "#d55e00"},
       {"other stall: host, kernels not grouped, routing's way back", "#bbbbbb"}}};
  double longest = 1e-9;
  for (const auto& [name, s] : overview.runs)
    if (std::isfinite(s.exposed_stall)) longest = std::max(longest, s.critical_path + s.exposed_stall);
  const double scale = kBarWidth / longest;
  const int bottom = kTop + kRow * static_cast<int>(overview.runs.size());
  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}" font-family="sans-serif">)"
      "\n",
      kWidth, bottom + 44);
  svg += box(0, 0, kWidth, bottom + 44, "#ffffff");
  svg += text(12, 24, "start",
              fmt::format("{} on {}: mean decode step by strategy", overview.model, overview.platform), 16);
  double x = 12;
  for (const Part& part : parts) {
    svg += box(x, 42, 12, 12, part.colour) + text(x + 18, 53, "start", part.name);
    x += 40 + 6.7 * static_cast<double>(std::string_view(part.name).size());
  }
  for (double t = 0; t <= longest * 1.001; t += tick_of(longest)) {
    svg += box(kLabelWidth + t * scale, kTop - 6, 1, bottom - kTop + 12, "#e4e4e4");
    svg += text(kLabelWidth + t * scale, bottom + 24, "middle", fmt::format("{:g} ms", t * 1e3), 12);
  }
  double y = kTop;
  for (const auto& [name, s] : overview.runs) {
    svg += text(kLabelWidth - 10, y + 20, "end", name);
    if (std::isfinite(s.exposed_stall)) {
      double at = kLabelWidth;
      const std::array<double, 3> lengths{s.critical_path, s.expert_wait, s.exposed_stall - s.expert_wait};
      for (std::size_t i = 0; i < parts.size(); ++i) {
        svg += box(at, y + 5, lengths[i] * scale, kRow - 12, parts[i].colour);
        at += std::max(0.0, lengths[i] * scale);
      }
      svg += text(at + 8, y + 20, "start",
                  fmt::format("{:.1f} ms, {:.1f} tok/s", (s.critical_path + s.exposed_stall) * 1e3,
                              s.tokens_per_second));
    }
    y += kRow;
  }
  return svg + "</svg>\n";
}

}  // namespace specmoe
