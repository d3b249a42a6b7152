#include "sim/report/page_data.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/base/build_info.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/statistics.hpp"
#include "sim/report/page_json.hpp"

namespace specmoe {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json rounded(const std::vector<double>& values) {
  Json out = Json::array();
  for (const double value : values) {
    if (value == 0 || !std::isfinite(value)) {
      out.push_back(number(value));
      continue;
    }
    // Divided by a power of ten, not multiplied with its inverse: 0.1 stays 0.1.
    const double digits = 6 - std::floor(std::log10(std::abs(value)));
    const double scale = std::pow(10, std::abs(digits));
    out.push_back(digits > 0 ? std::round(value * scale) / scale : std::round(value / scale) * scale);
  }
  return out;
}

Json distribution(std::vector<double> durations, std::size_t points) {
  std::erase_if(durations,
                [](double duration) { return !std::isfinite(duration); });  // they cannot be sorted
  std::sort(durations.begin(), durations.end());
  const auto count = static_cast<double>(durations.size());
  double sum = 0;
  for (const double duration : durations) sum += duration;
  std::vector<double> x, share;
  const auto add = [&](std::size_t rank) {
    const double at = static_cast<double>(rank + 1) / count;
    if (!share.empty() && share.back() >= at) return;
    x.push_back(durations[rank]);
    share.push_back(at);
  };
  if (durations.size() <= points) {
    for (std::size_t i = 0; i < durations.size(); ++i) add(i);
  } else {
    // Half of the points even, half halving the distance to the end again and again.
    const double even = std::floor(static_cast<double>(points) / 2);
    std::vector<double> shares;
    for (double i = 0; i < even; ++i) shares.push_back(i / even);
    for (double i = 0; i < even; ++i) shares.push_back(1 - std::pow(count, -i / even));
    std::sort(shares.begin(), shares.end());
    for (const double at : shares) add(static_cast<std::size_t>(at * (count - 1)));
    add(durations.size() - 1);
  }
  Json out{{"count", durations.size()}, {"mean", number(sum / count)}};
  for (const auto& [name, at] :
       {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}})
    out[name] = number(quantile(durations, at));
  out["durations"] = rounded(x);
  out["shares"] = rounded(share);
  return out;
}

std::string page_data(const std::vector<std::filesystem::path>& files, const std::string& live) {
  Json page{{"specmoe", version()},
            {"live", Json::parse(live)},
            {"results", Json::array()},
            {"studies", Json::array()}};
  for (const auto& path : files) {
    const H5File file = H5File::open(path);
    const std::string format = file.has("/", "format") ? file.get_string("/", "format") : "";
    if (format == "specmoe-results") {
      page["results"].push_back(results_data(file));
    } else if (format == "specmoe-study") {
      page["studies"].push_back(study_data(file));
    } else {
      throw InputError(path.string(), 0, "is no results file and no study",
                       "results.h5 of specmoe run, or study.h5 of specmoe study");
    }
  }
  // Names come from files: what is not UTF-8 is replaced, and no "</script>" ends the script that holds them.
  const std::string text = page.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  }
  return safe;
}

}  // namespace specmoe
