#include "validation/calibration/fit_page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "models/hardware/kernel_price.hpp"
#include "sim/base/plot.hpp"
#include "validation/calibration/shapes.hpp"

namespace specmoe {

namespace {

std::string section(const std::string& title, const std::vector<PlotPoint>& points,
                    const std::vector<std::string>& groups) {
  PlotOptions options;
  options.title = title;
  options.y_name = "fitted";
  options.groups = groups;
  return fmt::format("<section><h2>{}</h2>{}<div>{}{}</div></section>\n", escape_markup(title),
                     plot_legend(options), scatter(points, options), residuals(points, options));
}

std::string kernels(const Measurement& m, const Platform& platform, std::size_t kernel_class) {
  const DeviceId gpu = platform.first(Device::Kind::gpu);
  std::vector<PlotPoint> points;
  for (const MeasuredPoint& point : m[std::string("kernels/") + kKernelClasses[kernel_class]].points) {
    const Kernel kernel = kernel_of(kernel_class, point.parameters);
    const std::string label = fmt::format("{}", fmt::join(point.parameters, ", "));
    points.push_back({point.median(), roofline_time(platform, gpu, kernel).value, 0, label});
    points.push_back({point.median(), kernel_time(platform, gpu, kernel).value, 1, label});
  }
  return section(kKernelClasses[kernel_class], points, {"roofline", "with curves"});
}

std::string copies(const Measurement& m, const Platform& platform, std::int64_t way) {
  const Direction& d = way == 0 ? platform.links.front().forward : platform.links.front().backward;
  std::vector<PlotPoint> points;
  for (std::size_t group = 0; group < 2; ++group)
    for (const MeasuredPoint& point : m[group == 0 ? "copy/one" : "copy/train"].points)
      if (point.parameters.at(0) == way) {
        const Seconds moving = Bytes{point.parameters.at(1) + d.half_size.count} / d.bandwidth;
        points.push_back({point.median(), (moving + (group == 0 ? d.latency : Seconds{})).value, group,
                          fmt::format("{} B", point.parameters.at(1))});
      }
  return section(way == 0 ? "copies in, pinned" : "copies out, pinned", points,
                 {"one by one", "back to back"});
}

}  // namespace

std::string fit_page(const Measurement& m, const Platform& platform) {
  std::string body;
  for (std::size_t i = 0; i < std::size(kKernelClasses); ++i) body += kernels(m, platform, i);
  for (const std::int64_t way : {0, 1}) body += copies(m, platform, way);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>{0}</title><style>:root{{color-scheme:light "
      "dark}}body{{font-family:"
      "sans-serif;max-width:75rem;margin:1rem auto;padding:0 1rem}}section "
      "div{{display:flex;flex-wrap:wrap;gap:1rem}}"
      "svg{{flex:1 1 20rem;max-width:36rem;min-width:0;height:auto}}</style></head><body><h1>Fits of "
      "{0}</h1><p>{1}, {2}. Points that "
      "were fitted on; "
      "those that were not are scored by specmoe validate.</p>\n{3}</body></html>\n",
      escape_markup(platform.name), escape_markup(m.text("gpu")), escape_markup(m.text("date")), body);
}

}  // namespace specmoe
