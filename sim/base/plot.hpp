// Pictures of points as inline SVG for a page of our own: measured against simulated, and the error over the measured.
// Colours of lines and text are the page's (currentColor), so that they read on light and dark.
#pragma once
#include <string>
#include <vector>

namespace specmoe {

/// A point of either plot; x and y in s.
struct PlotPoint {
  double x = 0, y = 0;
  /// Index in PlotOptions::groups.
  std::size_t group = 0;
  /// Shown when the pointer rests on it, with x, y and y / x - 1.
  std::string label;
};

/// Title, groups and band of a plot.
struct PlotOptions {
  std::string title;
  std::string x_name = "measured", y_name = "simulated";
  /// One colour each (Okabe and Ito); from the eighth on rings instead of discs.
  std::vector<std::string> groups;
  /// Width of the band round the identity, as a fraction.
  double band = 0.1;
};

/// y over x, both logarithmic, with the identity and the band. Points with x or y not above 0 have no place there;
/// the picture says how many.
std::string scatter(const std::vector<PlotPoint>& points, const PlotOptions& options);
/// y / x - 1 in % over x (logarithmic), with the band. Errors beyond 100 % stand at the edge.
std::string residuals(const std::vector<PlotPoint>& points, const PlotOptions& options);

/// The two side by side with their groups and a title, as an SVG file of its own, on white.
std::string picture(const std::vector<PlotPoint>& points, const PlotOptions& options);

/// The groups with their colours, as HTML.
std::string plot_legend(const PlotOptions& options);

/// "12.3 us"; the unit that gives one to three digits before the point.
std::string duration_text(double seconds);
/// Text for the inside of an element or an attribute of HTML or SVG.
std::string escape_markup(const std::string& text);

}  // namespace specmoe
