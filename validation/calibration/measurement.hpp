// What a measuring run brings back: raw samples by experiment, in HDF5. Readers compute medians.
//
// `measurements/<machine>.h5` ("specmoe-measurements" version 1):
//   /                 attributes: format, version, specmoe
//   /about/{keys,values}   text: gpu, driver, cuda, clocks, date, commit, host, ...
//   /<experiment>     attributes: description, names (of the parameters, by commas)
//     /parameters     int64 [point, parameter]
//     /samples        float32 [point, sample], s (or what the description says); NaN where a point has fewer samples
//     /discarded      int32 [point]: samples thrown away because the clocks were throttled meanwhile
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace specmoe {

class H5File;

/// What describes a machine and a measuring run, by key.
using About = std::map<std::string, std::string>;
/// @throws InputError if the file has none
About read_about(const H5File& file);
void write_about(H5File& file, const About& about);

/// One shape or size that was measured.
struct MeasuredPoint {
  std::vector<std::int64_t> parameters;
  std::vector<double> samples;
  std::int64_t discarded = 0;

  double median() const;
  /// Half of the range that holds the middle half of the samples, over the median.
  double spread() const;
};

/// Samples of one thing at several shapes or sizes.
struct Experiment {
  std::string description;
  std::vector<std::string> names;
  std::vector<MeasuredPoint> points;
};

/// A file of measurements of one machine.
struct Measurement {
  About about;
  /// By name; a name may have parts: "copy/one".
  std::map<std::string, Experiment> experiments;

  /// @throws InputError if there is no such experiment.
  const Experiment& operator[](const std::string& name) const;
  bool has(const std::string& name) const { return experiments.count(name) > 0; }
  /// @throws InputError if an experiment has no points, or one without a median above 0.
  void check_times() const;
  /// What `about` says. @throws InputError if it says nothing, or no number
  const std::string& text(const std::string& key) const;
  double number(const std::string& key) const;

  /// @throws InputError if the file is no measurement.
  static Measurement read(const std::filesystem::path& file);
  /// @throws InputError if it cannot be written.
  void write(const std::filesystem::path& file) const;

 private:
  static Measurement read_untried(const std::filesystem::path& file);
  std::string file_;
};

double median_of(std::vector<double> values);

}  // namespace specmoe
