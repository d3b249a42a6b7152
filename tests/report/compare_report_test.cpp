#include "sim/report/compare_report.hpp"

#include <doctest/doctest.h>

using namespace specmoe;

TEST_CASE("compare table: an interval without batches that differ is said to be none") {
  ComparedRow row;
  row.platform = "p";
  row.strategy = "s";
  row.tokens_per_second = {30, 25, 35};
  row.gain = {1, 1, 1, true};  // LRU beside itself is nothing to warn of
  CHECK(compare_table({row}).find("note:") == std::string::npos);
  CHECK(compare_table({row}).find("30.0 [25.0, 35.0]") != std::string::npos);
  row.tokens_per_second = {30, 30, 30, true};
  CHECK(compare_table({row}).find("note: of a single batch") != std::string::npos);
  row.refused = "does not fit";
  CHECK(compare_table({row}).find("note:") == std::string::npos);
}
