// Small pieces of the page's data that results and studies share.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sim/base/h5.hpp"

namespace specmoe {

/// A number, or null for what JSON cannot say.
nlohmann::ordered_json number(double value);
/// Likewise, rounded to seven digits, which no picture shows more of.
nlohmann::ordered_json rounded(const std::vector<double>& values);

/// Of durations in s: {"count", "mean", "p50", "p90", "p95", "p99", "p999", "durations": [...], "shares": [...]}; the
/// last two are the distribution function at no more than `points` of its steps, closer together in the tail.
nlohmann::ordered_json distribution(std::vector<double> durations, std::size_t points);

nlohmann::ordered_json results_data(const H5File& file);
nlohmann::ordered_json study_data(const H5File& file);

}  // namespace specmoe
