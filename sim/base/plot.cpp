#include "sim/base/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

namespace specmoe {

namespace {

// Okabe and Ito, the black left out and the yellow darkened: distinguishable with colour blindness.
constexpr std::array<const char*, 7> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                              "#e69f00", "#56b4e9", "#9a8f00"};
constexpr double kWidth = 480, kHeight = 360, kLeft = 62, kRight = 22, kTop = 30, kBottom = 42;
constexpr double kMostError = 1;

bool drawn(const PlotPoint& p) { return p.x > 0 && p.y > 0 && std::isfinite(p.x) && std::isfinite(p.y); }

// Maps values to pixels; low and high are what stands at the ends.
struct Axis {
  double low, high, from, to;

  double operator()(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

// The decades (log10) that hold all values; at least one.
std::pair<double, double> decades(const std::vector<PlotPoint>& points, bool with_y) {
  double low = 1e300, high = 0;
  for (const PlotPoint& p : points) {
    if (!drawn(p)) continue;
    low = std::min(low, with_y ? std::min(p.x, p.y) : p.x);
    high = std::max(high, with_y ? std::max(p.x, p.y) : p.x);
  }
  if (high <= 0) return {-6, -3};  // nothing to draw
  const double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
  return {first, std::max(last, first + 1)};
}

std::string line(double x1, double y1, double x2, double y2, const char* more) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2,
                     more);
}

std::string text(double x, double y, const char* anchor, const std::string& what) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escape_markup(what));
}

constexpr const char* kGrid = "stroke=\"currentColor\" stroke-opacity=\".15\"";
constexpr const char* kBand = "stroke=\"currentColor\" stroke-opacity=\".5\" stroke-dasharray=\"4 3\"";
constexpr const char* kIdentity = "stroke=\"currentColor\" stroke-opacity=\".8\"";

std::string decade_name(double exponent) { return duration_text(std::pow(10, exponent)); }

// Opens the picture: title, x axis with its decades, names of both axes.
std::string frame(const PlotOptions& options, const Axis& x, const std::string& y_name) {
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" "
      "font-family=\"sans-serif\" font-size=\"11\" fill=\"currentColor\">\n",
      kWidth, kHeight, escape_markup(options.title));
  svg += text(kLeft, 18, "start", options.title);
  for (double decade = x.low; decade <= x.high + 1e-9; ++decade) {
    svg += line(x(decade), kTop, x(decade), kHeight - kBottom, kGrid);
    svg += text(x(decade), kHeight - kBottom + 15, "middle", decade_name(decade));
  }
  svg += text((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", options.x_name);
  return svg +
         fmt::format("<text transform=\"translate(13 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                     (kTop + kHeight - kBottom) / 2, escape_markup(y_name));
}

// The points, group by group, so that a colour is written once.
std::string marks(const std::vector<PlotPoint>& points, const PlotOptions& options, const Axis& x,
                  const std::function<double(const PlotPoint&)>& place) {
  std::string svg;
  std::size_t without_place = 0;
  for (std::size_t group = 0; group < std::max<std::size_t>(1, options.groups.size()); ++group) {
    const char* colour = kColours[group % kColours.size()];
    svg += group < kColours.size() ? fmt::format("<g fill=\"{}\" fill-opacity=\".65\">\n", colour)
                                   : fmt::format("<g fill=\"transparent\" stroke=\"{}\">\n", colour);
    for (const PlotPoint& p : points) {
      if (p.group != group) continue;
      if (!drawn(p)) {
        ++without_place;
        continue;
      }
      svg += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.2\"><title>{}: {} {}, {} {}, {:+.1f} "
          "%</title></circle>\n",
          x(std::log10(p.x)), place(p), escape_markup(p.label), escape_markup(options.x_name),
          duration_text(p.x), escape_markup(options.y_name), duration_text(p.y), 100 * (p.y / p.x - 1));
    }
    svg += "</g>\n";
  }
  if (without_place > 0)
    svg += text(kWidth - kRight, 18, "end", fmt::format("{} points of time 0 left out", without_place));
  return svg;
}

}  // namespace

std::string scatter(const std::vector<PlotPoint>& points, const PlotOptions& options) {
  const auto [low, high] = decades(points, true);
  const Axis x{low, high, kLeft, kWidth - kRight}, y{low, high, kHeight - kBottom, kTop};
  std::string svg = frame(options, x, options.y_name);
  for (double decade = low; decade <= high + 1e-9; ++decade) {
    svg += line(kLeft, y(decade), kWidth - kRight, y(decade), kGrid);
    svg += text(kLeft - 6, y(decade) + 4, "end", decade_name(decade));
  }
  svg += line(x(low), y(low), x(high), y(high), kIdentity);
  // In logarithms the band's edges are parallel to the identity; each is cut where it leaves the frame.
  const double up = std::log10(1 + options.band), down = -std::log10(1 - options.band);
  svg += line(x(low), y(low + up), x(high - up), y(high), kBand);
  svg += line(x(low + down), y(low), x(high), y(high - down), kBand);
  return svg + marks(points, options, x, [&](const PlotPoint& p) { return y(std::log10(p.y)); }) + "</svg>\n";
}

std::string residuals(const std::vector<PlotPoint>& points, const PlotOptions& options) {
  const auto [low, high] = decades(points, false);
  double most = 2 * options.band;
  for (const PlotPoint& p : points)
    if (drawn(p)) most = std::max(most, std::abs(p.y / p.x - 1));
  most = std::min(most, kMostError);
  const Axis x{low, high, kLeft, kWidth - kRight}, y{-most, most, kHeight - kBottom, kTop};
  std::string svg = frame(options, x, "error, %");
  const double step = most > 0.5 ? 0.25 : most > 0.2 ? 0.1 : 0.05;
  const int ticks = static_cast<int>(most / step + 1e-9);
  for (int i = -ticks; i <= ticks; ++i) {
    svg += line(kLeft, y(i * step), kWidth - kRight, y(i * step), kGrid);
    svg += text(kLeft - 6, y(i * step) + 4, "end", i == 0 ? "0" : fmt::format("{:+.0f}", 100 * i * step));
  }
  svg += line(kLeft, y(0), kWidth - kRight, y(0), kIdentity);
  for (const double edge : {-options.band, options.band})
    svg += line(kLeft, y(edge), kWidth - kRight, y(edge), kBand);
  const auto place = [&](const PlotPoint& p) { return y(std::clamp(p.y / p.x - 1, -most, most)); };
  return svg + marks(points, options, x, place) + "</svg>\n";
}

std::string picture(const std::vector<PlotPoint>& points, const PlotOptions& options) {
  constexpr int kTop = 44;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"13\" color=\"#1b1b1b\" fill=\"#1b1b1b\">\n<rect width=\"{0}\" "
      "height=\"{1}\" fill=\"#ffffff\"/>\n",
      2 * kWidth, kHeight + kTop);
  double x = 20;
  for (std::size_t i = 0; i < options.groups.size(); ++i) {
    svg += fmt::format("<circle cx=\"{:.0f}\" cy=\"24\" r=\"5\" fill=\"{}\"/>\n", x,
                       kColours[i % kColours.size()]);
    svg += text(x + 10, 28, "start", options.groups[i]);
    x += 40 + 7.2 * static_cast<double>(options.groups[i].size());
  }
  const auto placed = [&](int left, const std::string& plot) {
    return fmt::format("<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}", left, kTop, kWidth, kHeight,
                       plot.substr(std::string("<svg ").size()));
  };
  return svg + placed(0, scatter(points, options)) + placed(kWidth, residuals(points, options)) + "</svg>\n";
}

std::string plot_legend(const PlotOptions& options) {
  std::string html = "<p class=\"legend\">";
  for (std::size_t i = 0; i < options.groups.size(); ++i)
    html += fmt::format("<span><b style=\"color:{}\">{}</b> {}</span> ", kColours[i % kColours.size()],
                        i < kColours.size() ? "&#9679;" : "&#9675;", escape_markup(options.groups[i]));
  return html + "</p>\n";
}

std::string duration_text(double seconds) {
  const double size =
      std::abs(seconds) * (1 + 1e-9);  // 999.9999999 us, a power of ten with its rounding, is 1 ms
  const auto [unit, name] = size >= 1      ? std::pair(1.0, "s")
                            : size >= 1e-3 ? std::pair(1e-3, "ms")
                            : size >= 1e-6 ? std::pair(1e-6, "us")
                                           : std::pair(1e-9, "ns");
  return fmt::format("{:.3g} {}", seconds / unit, name);
}

std::string escape_markup(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace specmoe
