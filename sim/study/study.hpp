// A study file: a base scenario, axes along which it changes, replications with paired seeds, a baseline. Its keys are
// listed in scenarios/studies/README.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sim/base/yaml.hpp"
#include "sim/scenario/edits.hpp"

namespace specmoe {

/// A value of an axis: what changes in the scenario.
struct AxisValue {
  std::string label;
  /// In base units (B, s, B/s), a share of "25 %" as 0.25; NaN of a text.
  double number;
  std::vector<Edit> edits;
};

/// One dimension of a study's grid.
struct Axis {
  std::string name;
  /// The path that all values change; empty where they change several, or different ones.
  std::string path;
  std::vector<AxisValue> values;
  /// Its values tell what they are without its name.
  bool speaks = false;
  /// The first value changes nothing, each other one path by a factor.
  bool one_at_a_time = false;
};

/// With what a cell (a point and a strategy) is compared: the same cell but for what is named here.
struct Baseline {
  std::string strategy;                     // empty: its own
  std::map<std::string, std::size_t> axes;  // position among the axis's values, by the axis's name
  bool any() const { return !strategy.empty() || !axes.empty(); }
};

/// A study file, read and checked but for its points' scenarios.
struct Study {
  std::string name, description, file;
  std::string text;  // as read
  Yaml scenario;     // the base
  std::vector<Axis> axes;
  std::int64_t replications = 1;
  /// Replications take other requests of the routing, one after another; else other seeds.
  bool by_requests = false;
  Baseline baseline;

  /// @throws InputError for what is wrong with the file itself; points are checked by Plan::make.
  static Study load(const std::filesystem::path& file) { return read(Yaml::load(file)); }
  static Study read(const Yaml& document);
  /// A study of one scenario without axes, to add some to.
  static Study of(const Yaml& scenario);
  /// Likewise, of a scenario file, or of the base of a study file with what it sets for all its points.
  static Study base_of(const std::filesystem::path& file);

  /// Of the grid; the last axis changes fastest.
  std::size_t points() const;
  /// Position on each axis.
  std::vector<std::size_t> places(std::size_t point) const;
  std::size_t point(const std::vector<std::size_t>& places) const;
  /// The scenario's own keys after what all points change in them.
  Yaml document() const;
  /// "batch 8, pcie x2"
  std::string label(std::size_t point) const;
  /// The seed of a replication.
  std::int64_t seed(std::int64_t replication) const;
  std::vector<Edit> edits(std::size_t point, std::int64_t replication) const;
};

}  // namespace specmoe
