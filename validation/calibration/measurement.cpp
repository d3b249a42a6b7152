#include "validation/calibration/measurement.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "sim/base/build_info.hpp"
#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/statistics.hpp"

namespace specmoe {

namespace {

constexpr const char* kFormat = "specmoe-measurements";
constexpr std::int64_t kVersion = 1;

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ",") + name;
  return all;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// A group that holds samples is an experiment; others are parts of names.
// A group may stand in itself, any number of times: `groups` counts those that were looked into.
void read_group(const H5File& file, const std::string& path, Measurement& all, int& groups) {
  const std::string group = "/" + path;
  if (++groups > 10'000 || std::count(path.begin(), path.end(), '/') > 9)
    throw InputError(file.name(), 0, group + ": more than 10,000 groups, or more than 10 levels of them",
                     "what specmoe-calibrate measure writes");
  if (!path.empty() && file.exists(group + "/samples")) {
    Experiment& experiment = all.experiments[path];
    experiment.description = file.get_string(group, "description");
    experiment.names = split(file.get_string(group, "names"));
    const std::size_t width = experiment.names.size();
    const auto parameters = file.read<std::int64_t>(group + "/parameters");
    const auto samples = file.read<float>(group + "/samples");
    const auto discarded = file.read<std::int32_t>(group + "/discarded");
    if (parameters.size() != width * discarded.size() ||
        (!discarded.empty() && samples.size() % discarded.size() != 0))
      throw InputError(file.name(), 0, group + ": parameters, samples and discarded differ in length",
                       "as many rows in each");
    for (std::size_t i = 0; i < discarded.size(); ++i) {
      MeasuredPoint& point = experiment.points.emplace_back();
      point.parameters.assign(parameters.begin() + static_cast<std::ptrdiff_t>(i * width),
                              parameters.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
      const std::size_t each = samples.size() / discarded.size();
      for (std::size_t j = i * each; j < (i + 1) * each; ++j)
        if (!std::isnan(samples[j])) point.samples.push_back(static_cast<double>(samples[j]));
      point.discarded = discarded[i];
    }
    return;
  }
  for (const std::string& name : file.list(path.empty() ? "/" : group))
    if (path != "" || name != "about") read_group(file, path.empty() ? name : path + "/" + name, all, groups);
}

}  // namespace

About read_about(const H5File& file) {
  const auto keys = file.read_strings("/about/keys"), values = file.read_strings("/about/values");
  if (keys.size() != values.size())
    throw InputError(file.name(), 0, "/about: keys and values differ in length", "a value for each key");
  About about;
  for (std::size_t i = 0; i < keys.size(); ++i) about[keys[i]] = values[i];
  return about;
}

void write_about(H5File& file, const About& about) {
  std::vector<std::string> keys, values;
  for (const auto& [key, value] : about) {
    keys.push_back(key);
    values.push_back(value);
  }
  file.write_strings("/about/keys", keys);
  file.write_strings("/about/values", values);
}

double median_of(std::vector<double> values) { return quantile(std::move(values), 0.5); }

double MeasuredPoint::median() const { return median_of(samples); }

double MeasuredPoint::spread() const {
  return (quantile(samples, 0.75) - quantile(samples, 0.25)) / 2 / median();
}

const Experiment& Measurement::operator[](const std::string& name) const {
  const auto found = experiments.find(name);
  if (found == experiments.end())
    throw InputError(file_, 0, "no experiment \"" + name + "\"", "what specmoe-calibrate measure writes");
  return found->second;
}

void Measurement::check_times() const {
  for (const auto& [name, experiment] : experiments) {
    if (experiment.points.empty())
      throw InputError(file_, 0, "experiment \"" + name + "\": no points",
                       "what specmoe-calibrate measure writes");
    for (const MeasuredPoint& point : experiment.points)
      if (!(point.median() > 0) || std::isinf(point.median()))
        throw InputError(file_, 0, "experiment \"" + name + "\": a point without time",
                         "samples with a median above 0 s");
  }
}

const std::string& Measurement::text(const std::string& key) const {
  const auto found = about.find(key);
  if (found == about.end())
    throw InputError(file_, 0, "/about: no \"" + key + "\"", "what specmoe-calibrate measure writes");
  return found->second;
}

double Measurement::number(const std::string& key) const {
  const std::string& value = text(key);
  char* end = nullptr;
  const double parsed = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !std::isfinite(parsed))
    throw InputError(file_, 0, "/about: " + key + ": \"" + value + "\"", "a number");
  return parsed;
}

Measurement Measurement::read(const std::filesystem::path& name) {
  const H5File file = H5File::open(name);
  if (!file.has("/", "format") || file.get_string("/", "format") != kFormat)
    throw InputError(file.name(), 0, "not a file of measurements", "what specmoe-calibrate measure writes");
  if (const std::int64_t found = file.has("/", "version") ? file.get_integer("/", "version") : kVersion;
      found != kVersion)
    throw InputError(file.name(), 0, "version " + std::to_string(found),
                     "version " + std::to_string(kVersion));
  Measurement all;
  all.file_ = file.name();
  all.about = read_about(file);
  int groups = 0;
  read_group(file, "", all, groups);
  return all;
}

void Measurement::write(const std::filesystem::path& name) const {
  H5File file = H5File::create(name);
  file.set("/", "format", kFormat);
  file.set("/", "version", kVersion);
  file.set("/", "specmoe", version());
  write_about(file, about);
  for (const auto& [path, experiment] : experiments) {
    const std::string group = "/" + path;
    std::size_t most = 0;
    for (const MeasuredPoint& point : experiment.points) most = std::max(most, point.samples.size());
    std::vector<std::int64_t> parameters;
    std::vector<float> samples;
    std::vector<std::int32_t> discarded;
    for (const MeasuredPoint& point : experiment.points) {
      parameters.insert(parameters.end(), point.parameters.begin(), point.parameters.end());
      for (std::size_t i = 0; i < most; ++i)
        samples.push_back(i < point.samples.size() ? static_cast<float>(point.samples[i])
                                                   : std::numeric_limits<float>::quiet_NaN());
      discarded.push_back(static_cast<std::int32_t>(point.discarded));
    }
    const auto points = static_cast<std::int64_t>(experiment.points.size());
    file.set(group, "description", experiment.description);
    file.set(group, "names", joined(experiment.names));
    file.write<std::int64_t>(group + "/parameters", parameters,
                             {points, static_cast<std::int64_t>(experiment.names.size())});
    file.write<float>(group + "/samples", samples, {points, static_cast<std::int64_t>(most)});
    file.write<std::int32_t>(group + "/discarded", discarded, {points});
  }
  file.flush();
}

}  // namespace specmoe
